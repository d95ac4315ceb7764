"""The options of AUTOMATIC1111 1.10.1 with its built-in extensions, as far as they are no field of Easel's own table.

`ACTS`: what would change a picture, or what is written into its file, and Easel cannot do; by its name, with the value
at which it changes nothing. `KEPT`: where files go and how its page behaves; any value is kept and given back.
An option that is a field (`override` in the field table) is asked of that table first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

ACTS: Mapping[str, Any] = MappingProxyType({
    "enable_pnginfo": True, "sd_unet": "Automatic", "sd_vae_encode_method": "Full",
    "sd_vae_decode_method": "Full", "enable_quantization": False, "enable_batch_seeds": True,
    "comma_padding_backtrack": 20,
    "sd3_enable_t5": False, "inpainting_mask_weight": 1.0,
    "img2img_background_color": "#ffffff", "overlay_inpaint": True, "s_min_uncond_all": False,
    "token_merging_ratio": 0.0, "token_merging_ratio_img2img": 0.0, "token_merging_ratio_hr": 0.0,
    "pad_cond_uncond": False, "pad_cond_uncond_v0": False, "fp8_storage": "Disable",
    "use_old_emphasis_implementation": False, "use_old_karras_scheduler_sigmas": False,
    "no_dpmpp_sde_batch_determinism": False, "use_old_hires_fix_width_height": False,
    "hires_fix_use_firstpass_conds": False, "refiner_switch_by_sample_steps": False,
    "extra_networks_default_multiplier": 1.0, "sd_hypernetwork": "None", "sd_lora": "None",
    "upscaler_for_img2img": None, "ddim_discretize": "uniform",
    "sgm_noise_multiplier": False,
    "sd_noise_schedule": "Default", "skip_early_cond": 0.0,
    "postprocessing_enable_in_main_ui": [], "hypertile_enable_unet": False,
    "hypertile_enable_unet_secondpass": False, "hypertile_enable_vae": False,
})
ALSO_NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType({
    "sd_unet": ("None",), "upscaler_for_img2img": ("None",), "ddim_discretize": ("quad",),
})
"""Other values that change nothing: `ddim_discretize` has had no reader since 1.6."""

KEPT: Mapping[str, Any] = MappingProxyType({
    # what is saved, and where
    "samples_save": True, "save_images_add_number": True, "save_images_replace_action": "Replace",
    "grid_format": "png", "grid_extended_filename": False, "grid_only_if_multiple": True,
    "grid_prevent_empty_spots": False, "grid_zip_filename_pattern": "", "n_rows": -1, "font": "",
    "grid_text_active_color": "#000000", "grid_text_inactive_color": "#999999", "grid_background_color": "#ffffff",
    "save_images_before_face_restoration": False, "save_images_before_highres_fix": False,
    "save_images_before_color_correction": False, "save_mask": False, "save_mask_composite": False,
    "export_for_4chan": True, "img_downscale_threshold": 4.0, "target_side_length": 4000.0, "img_max_size_mp": 200.0,
    "use_original_name_batch": True, "use_upscaler_name_as_suffix": False, "save_selected_only": True,
    "save_write_log_csv": True, "save_init_img": False, "temp_dir": "", "clean_temp_dir_at_start": False,
    "notification_audio": True, "notification_volume": 100, "save_txt": False,
    "outdir_samples": "", "outdir_txt2img_samples": "outputs/txt2img-images",
    "outdir_img2img_samples": "outputs/img2img-images", "outdir_extras_samples": "outputs/extras-images",
    "outdir_grids": "", "outdir_txt2img_grids": "outputs/txt2img-grids",
    "outdir_img2img_grids": "outputs/img2img-grids", "outdir_save": "log/images",
    "outdir_init_images": "outputs/init-images", "save_to_dirs": True, "grid_save_to_dirs": True,
    "use_save_to_dirs_for_ui": False, "directories_max_prompt_words": 8,
    # tiles, memory, and what speeds up without another picture
    "ESRGAN_tile": 192, "ESRGAN_tile_overlap": 8, "DAT_tile": 192, "DAT_tile_overlap": 8, "SCUNET_tile": 256,
    "SCUNET_tile_overlap": 8, "SWIN_tile": 192, "SWIN_tile_overlap": 8, "SWIN_torch_compile": False,
    "ldsr_steps": 100, "ldsr_cached": False, "realesrgan_enabled_models": ["R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B"],
    "dat_enabled_models": ["DAT x2", "DAT x3", "DAT x4"], "set_scale_by_when_changing_upscaler": False,
    "face_restoration_unload": False, "sd_checkpoints_limit": 1, "sd_checkpoints_keep_in_cpu": True,
    "sd_checkpoint_cache": 0, "sd_vae_checkpoint_cache": 0, "sd_vae_overrides_per_model_preferences": True,
    "auto_vae_precision": True, "auto_vae_precision_bfloat16": False, "upcast_attn": False,
    "cross_attention_optimization": "Automatic", "persistent_cond_cache": True, "batch_cond_uncond": True,
    "cache_fp16_weight": False, "hypertile_max_depth_unet": 3, "hypertile_max_tile_unet": 256,
    "hypertile_swap_size_unet": 3, "hypertile_max_depth_vae": 3, "hypertile_max_tile_vae": 128,
    "hypertile_swap_size_vae": 3, "lora_functional": False, "lora_in_memory_limit": 0,
    # the server and its console
    "auto_launch_browser": "Local", "enable_console_prompts": False, "show_warnings": False,
    "show_gradio_deprecation_warnings": True, "memmon_poll_rate": 8, "samples_log_stdout": False,
    "multiple_tqdm": True, "enable_upscale_progressbar": True, "print_hypernet_extra": False,
    "list_hidden_files": True, "disable_mmap_load_safetensors": False, "hide_ldm_prints": True,
    "dump_stacks_on_signal": False, "profiling_enable": False, "profiling_activities": ["CPU"],
    "profiling_record_shapes": True, "profiling_profile_memory": True, "profiling_with_stack": True,
    "profiling_filename": "trace.json", "api_enable_requests": True, "api_forbid_local_requests": True,
    "api_useragent": "", "disabled_extensions": [], "disable_all_extensions": "none", "restore_config_state_file": "",
    # training, which Easel does not do; describing pictures
    "unload_models_when_training": False, "pin_memory": False, "save_optimizer_state": False,
    "save_training_settings_to_txt": True, "dataset_filename_word_regex": "", "dataset_filename_join_string": " ",
    "training_image_repeats_per_epoch": 1, "training_write_csv_every": 500,
    "training_xattention_optimizations": False, "training_enable_tensorboard": False,
    "training_tensorboard_save_images": False, "training_tensorboard_flush_every": 120,
    "interrogate_keep_models_in_memory": False, "interrogate_return_ranks": False, "interrogate_clip_num_beams": 1,
    "interrogate_clip_min_length": 24, "interrogate_clip_max_length": 48, "interrogate_clip_dict_limit": 1500,
    "interrogate_clip_skip_categories": [], "interrogate_deepbooru_score_threshold": 0.5,
    "deepbooru_sort_alpha": True, "deepbooru_use_spaces": True, "deepbooru_escape": True, "deepbooru_filter_tags": "",
    # its page
    "img2img_editor_height": 720, "img2img_sketch_default_brush_color": "#ffffff",
    "img2img_inpaint_mask_brush_color": "#ffffff", "img2img_inpaint_sketch_default_brush_color": "#ffffff",
    "return_mask": False, "return_mask_composite": False, "img2img_batch_show_results_limit": 32,
    "img2img_autosize": False, "extra_networks_show_hidden_directories": True,
    "extra_networks_dir_button_function": False, "extra_networks_hidden_models": "When searched",
    "extra_networks_card_width": 0, "extra_networks_card_height": 0, "extra_networks_card_text_scale": 1.0,
    "extra_networks_card_show_desc": True, "extra_networks_card_description_is_html": False,
    "extra_networks_card_order_field": "Path", "extra_networks_card_order": "Ascending",
    "extra_networks_tree_view_style": "Dirs", "extra_networks_tree_view_default_enabled": True,
    "extra_networks_tree_view_default_width": 180.0, "extra_networks_add_text_separator": " ",
    "ui_extra_networks_tab_reorder": "", "textual_inversion_print_at_load": False,
    "textual_inversion_add_hashes_to_infotext": True, "lora_preferred_name": "Alias from file",
    "lora_add_hashes_to_infotext": True, "lora_bundled_ti_to_infotext": True, "lora_show_all": False,
    "lora_hide_unknown_for_versions": [], "lora_not_found_warning_console": False,
    "lora_not_found_gradio_warning": False, "keyedit_precision_attention": 0.1, "keyedit_precision_extra": 0.05,
    "keyedit_delimiters": r".,\/!?%^*;:{}=`~() ",
    "keyedit_delimiters_whitespace": ["Tab", "Carriage Return", "Line Feed"], "keyedit_move": True,
    "disable_token_counters": False, "include_styles_into_token_counters": True, "return_grid": True,
    "do_not_show_images": False, "js_modal_lightbox": True, "js_modal_lightbox_initially_zoomed": True,
    "js_modal_lightbox_gamepad": False, "js_modal_lightbox_gamepad_repeat": 250,
    "sd_webui_modal_lightbox_icon_opacity": 1, "sd_webui_modal_lightbox_toolbar_opacity": 0.9, "gallery_height": "",
    "open_dir_button_choice": "Subdirectory", "compact_prompt_box": False, "samplers_in_dropdown": True,
    "dimensions_and_batch_together": True, "sd_checkpoint_dropdown_use_short": False, "hires_fix_show_sampler": False,
    "hires_fix_show_prompts": False, "txt2img_settings_accordion": False, "img2img_settings_accordion": False,
    "interrupt_after_current": True, "localization": "None", "quicksettings_list": ["sd_model_checkpoint"],
    "ui_tab_order": [], "hidden_tabs": [], "ui_reorder_list": [], "gradio_theme": "Default",
    "gradio_themes_cache": True, "show_progress_in_title": True, "send_seed": True, "send_size": True,
    "enable_reloading_ui_scripts": False, "add_model_name_to_info": True, "add_model_hash_to_info": True,
    "add_vae_name_to_info": True, "add_vae_hash_to_info": True, "add_user_name_to_info": False,
    "add_version_to_infotext": True, "disable_weights_auto_swap": True, "infotext_skip_pasting": [],
    "infotext_styles": "Apply if any", "auto_backcompat": True, "show_progressbar": True, "live_previews_enable": True,
    "live_previews_image_format": "png", "show_progress_grid": True, "live_preview_allow_lowvram_full": False,
    "live_preview_content": "Prompt", "live_preview_refresh_period": 1000.0, "live_preview_fast_interrupt": False,
    "js_live_preview_in_modal_lightbox": False, "prevent_screen_sleep_during_generation": True, "hide_samplers": [],
    "postprocessing_disable_in_extras": [], "postprocessing_operation_order": [], "upscaling_max_images_in_cache": 5,
    "postprocessing_existing_caption_action": "Ignore", "canvas_hotkey_zoom": "Alt", "canvas_hotkey_adjust": "Ctrl",
    "canvas_hotkey_shrink_brush": "Q", "canvas_hotkey_grow_brush": "W", "canvas_hotkey_move": "F",
    "canvas_hotkey_fullscreen": "S", "canvas_hotkey_reset": "R", "canvas_hotkey_overlap": "O",
    "canvas_show_tooltip": True, "canvas_auto_expand": True, "canvas_blur_prompt": False,
    "canvas_disabled_functions": ["Overlap"], "extra_options_txt2img": [], "extra_options_img2img": [],
    "extra_options_cols": 1, "extra_options_accordion": False, "save_prompt_comments": False,
    "sd_checkpoint_hash": "",
    # of the parts of a picture's way that have fields of other names here
    "face_restoration": False, "face_restoration_model": "CodeFormer", "code_former_weight": 0.5,
    "eta_ddim": 0.0, "eta_ancestral": 1.0,
})

OF_FIELDS: Mapping[str, str] = MappingProxyType({
    "s_churn": "s_churn", "s_tmin": "s_tmin", "s_tmax": "s_tmax", "s_noise": "s_noise",
    "s_min_uncond": "s_min_uncond", "tiling": "tiling", "code_former_weight": "face_restoration_weight",
})
"""Options that stand for a field which AUTOMATIC1111's JSON has at its top level."""
