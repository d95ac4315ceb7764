"""What known clients of AUTOMATIC1111's API send, written anew: the fields that each of them puts into a request."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from PIL import Image as Pillow

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}


def encoded(mode: str = "RGB", size: tuple[int, int] = (64, 64), colour: Any = "teal") -> str:
    out = io.BytesIO()
    Pillow.new(mode, size, colour).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


PICTURE = encoded()
MASK = encoded("L", colour=255)

CHAT = {      # SillyTavern
    "url": "http://127.0.0.1:7860", "auth": "", "prompt": "a red circle", "negative_prompt": "blurry", "sampler_name": "Euler a",
    "scheduler": "Automatic", "steps": 2, "cfg_scale": 7, "width": 64, "height": 64, "restore_faces": False, "enable_hr": False,
    "hr_upscaler": "ESRGAN_4x", "hr_scale": 2, "hr_additional_modules": [], "denoising_strength": 0.7, "hr_second_pass_steps": 0,
    "override_settings": {"CLIP_stop_at_last_layers": 1}, "override_settings_restore_afterwards": True, "clip_skip": 1,
    "save_images": True, "send_images": True, "do_not_save_grid": False, "do_not_save_samples": False,
}
DISCORD = {**SMALL, "prompt": "x", "negative_prompt": "", "cfg_scale": 7.0, "sampler_index": "Euler a", "seed": -1, "seed_resize_from_h": -1,
           "seed_resize_from_w": -1, "denoising_strength": None, "n_iter": 1, "styles": ["None"]}       # AIYA
PHOTOSHOP = {
    **SMALL, "prompt": "x", "negative_prompt": "", "batch_size": 1, "cfg_scale": 7, "seed": 5, "mask_blur": 4, "use_sharp_mask": False,
    "use_prompt_shortcut": True, "prompt_shortcut_ui_dict": {}, "uniqueDocumentId": "ab", "mode": "txt2img", "selection_info": {"left": 0},
    "original_prompt": "x", "original_negative_prompt": "", "sampler_index": "Euler", "enable_hr": False, "inpainting_mask_weight": 1,
    "denoising_strength": 0.7, "hr_scale": 0, "hr_upscaler": "Latent", "hr_sampler_name": "Use same sampler", "hr_resize_x": 513,
    "script_args": [], "alwayson_scripts": {}, "inpaint_full_res": False, "backend": "a1111",
}
FORGE = {**SMALL, "prompt": "x", "sampler_name": "Euler", "distilled_cfg_scale": 3.5, "enable_hr": True, "hr_scale": 2,
         "denoising_strength": 0.7, "hr_upscaler": "Latent", "hr_second_pass_steps": 2, "hr_additional_modules": ["Use same choices"],
         "hr_checkpoint_name": "Use same checkpoint", "override_settings": {"forge_additional_modules": [], "forge_preset": "sd"}}
WORDS = {**SMALL, "prompt": "x", "restore_faces": "False", "tiling": "False", "disable_extra_networks": "False",
         "do_not_save_samples": "False", "seed": "5", "cfg_scale": "7.5", "enable_hr": "false", "n_iter": "1", "subseed": ""}
BUILT_IN = {**SMALL, "prompt": "x", "alwayson_scripts": {
    "Refiner": {"args": [True, "sdxl_refiner", 0.8]}, "Seed": {"args": [-1, False, -1, 0, 0, 0]}, "Sampler": {"args": [20, "Euler", "Automatic"]},
    "Comments": {"args": []}, "Extra options": {"args": []}, "Hypertile": {"args": []}, "Soft Inpainting": {"args": [False, 1, 0.5, 4, 0, 0.5, 2]},
    "ADetailer": {"args": [False, False, {"ad_model": "face_yolov8n.pt"}]}, "Dynamic Prompts v2.17.1": {"args": [False, False, 1, 0.7]},
    "Tiled Diffusion": {"args": [False, "MultiDiffusion", True, True]}, "reactor": {"args": [None, False, "0"]},
    "ControlNet": {"args": [{"enabled": False, "model": "canny"}, {"model": "None", "module": "none"}]},
}}
DEFAULTS = {**SMALL, "prompt": "x", "override_settings": {
    "uni_pc_order": 3, "uni_pc_variant": "bh1", "uni_pc_skip_type": "time_uniform", "uni_pc_lower_order_final": True,
    "inpainting_mask_weight": 1.0, "sd_noise_schedule": "Default", "upscaler_for_img2img": "None", "sd_hypernetwork": "None",
    "add_model_hash_to_info": True, "auto_vae_precision": True, "hires_fix_refiner_pass": "second pass", "sd_vae": "Automatic",
    "face_restoration_model": "CodeFormer", "code_former_weight": 0.5, "send_seed": True, "s_min_uncond": 0, "tiling": False,
    "img2img_background_color": "#FFFFFF", "token_merging_ratio": "0", "k_sched_type": "Automatic", "nosuchkey": 1,
}}
BLENDER = {**SMALL, "prompt": "x", "init_images": [PICTURE], "image_similarity": 0.4, "sampler": "k_euler", "denoising_strength": 0.6,
           "sampler_index": "Euler", "cfg_scale": 7, "seed": 5}
KRITA = {**SMALL, "prompt": "x", "width": 133, "height": 71, "init_images": [PICTURE], "mask": MASK, "mask_blur": 4, "inpainting_fill": 1,
         "inpaint_full_res": False, "alwayson_scripts": {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}}
EVERY_INPAINTING_NAME = {**SMALL, "prompt": "x", "inpainting_fill": 1, "mask_blur": 4, "resize_mode": 0}       # sd-backend-client

TXT2IMG: dict[str, dict[str, Any]] = {
    "chat": CHAT, "discord": DISCORD, "photoshop": PHOTOSHOP, "forge": FORGE, "words": WORDS, "built-in scripts": BUILT_IN,
    "defaults of options": DEFAULTS, "all names": EVERY_INPAINTING_NAME, "float steps": {**FORGE, "hr_second_pass_steps": 2.5},
    "nothing": {}, "styles": {"styles": ["", "none", "anime"]}, "hires off": {"enable_hr": False, "hr_scale": 99, "hr_resize_x": 1},
}
IMG2IMG: dict[str, dict[str, Any]] = {
    "blender": BLENDER, "krita": KRITA, "chat": {**CHAT, "init_images": [PICTURE]}, "hires": {**BLENDER, "enable_hr": True, "hr_scale": 2},
    "built-in scripts": {**BUILT_IN, "init_images": [PICTURE]}, "latent mask alone": {**BLENDER, "latent_mask": PICTURE},
}


def passed_over(answer: dict[str, Any]) -> set[str]:
    return set(json.loads(answer["info"])["passed_over"])
