"""The life of a picture: txt2img, img2img, inpainting, hires fix, loopback, SD upscale."""
