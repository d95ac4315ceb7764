"""What fields may be chosen from, where that is one list for ever, and the words that lists of files begin with."""

from __future__ import annotations

NO_UPSCALER = NO_RESTORER = NO_REFINER = "None"
AUTOMATIC_VAE, OWN_VAE = VAES = ("Automatic", "None")       # AUTOMATIC1111's words: beside the checkpoint or its own
SAME_CHECKPOINT = "Use same checkpoint"         # for the second pass of hires fix
GFPGAN, CODEFORMER = RESTORERS = ("GFPGAN", "CodeFormer")      # what makes faces clean
DRAW, EXTRAS = PROCESSES = ("Draw", "Extras")
EMPHASIS = ("Original", "No norm", "Ignore", "None")
SEED_SOURCES = ("CPU", "GPU", "NV")
IMAGE_FORMATS = ("png", "jpg", "webp")
PIXEL_UPSCALERS = ("Lanczos", "Nearest")        # those that need no file
LATENT_UPSCALERS = ("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)",
                    "Latent (nearest)", "Latent (nearest-exact)")
RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
MASK_MODES = ("Inpaint masked", "Inpaint not masked")
MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")
INPAINT_AREAS = ("Whole picture", "Only masked")
STRENGTH_CURVES = ("Linear", "Aggressive", "Lazy")
EXPANSIONS = ("Random", "Combinatorial", "Off")
PREVIEWS = ("Approx cheap", "Full")
REFINER_PASSES = ("first pass", "second pass", "both passes")
