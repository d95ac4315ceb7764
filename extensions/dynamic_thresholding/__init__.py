"""Dynamic thresholding: a high CFG scale with the contrast of a lower one."""
