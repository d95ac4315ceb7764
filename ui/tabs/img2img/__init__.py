"""The img2img tab: pictures from a picture."""
