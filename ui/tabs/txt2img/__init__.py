"""The txt2img tab: pictures from words."""
