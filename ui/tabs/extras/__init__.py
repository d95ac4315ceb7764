"""The Extras tab: finished pictures enlarged and mended."""
