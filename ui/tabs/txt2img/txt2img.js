// The scripts of the txt2img tab.
import "./hires_row.js";
