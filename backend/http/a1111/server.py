"""What AUTOMATIC1111's API tells of the server: flags, memory, scripts, extensions, and that it is there at all."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Literal

import psutil
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from backend import LOCAL, Backend, Door
from backend.http.a1111.options import write
from backend.http.a1111.plot_scripts import PLOT_SCRIPTS
from backend.http.a1111.scripts import SELECTABLE, Script, always_on_scripts
from backend.http.dependencies import ClientOptions, EntireBackend, FrontDoor
from backend.http.json_answers import JSONAnswer
from backend.messages import MemoryUse
from backend.request.always_on_scripts import AlwaysOnScript
from backend.version import VERSION

FLAGS: Mapping[str, Any] = MappingProxyType({
    "update_all_extensions": False, "skip_python_version_check": False, "skip_torch_cuda_test": False,
    "reinstall_xformers": False, "reinstall_torch": False, "update_check": False, "test_server": False,
    "log_startup": False, "skip_prepare_environment": False, "skip_install": False, "dump_sysinfo": False,
    "loglevel": None, "do_not_download_clip": False, "data_dir": None, "models_dir": None, "config": None,
    "ckpt": None, "ckpt_dir": None, "vae_dir": None, "gfpgan_dir": None, "gfpgan_model": None, "no_half": False,
    "no_half_vae": False, "no_progressbar_hiding": False, "max_batch_count": 1000, "embeddings_dir": None,
    "textual_inversion_templates_dir": None, "hypernetwork_dir": None, "localizations_dir": None,
    "allow_code": False, "medvram": False, "medvram_sdxl": False, "lowvram": False, "lowram": False,
    "always_batch_cond_uncond": False, "unload_gfpgan": False, "precision": "autocast", "upcast_sampling": False,
    "share": False, "ngrok": None, "ngrok_region": "", "ngrok_options": {}, "enable_insecure_extension_access": False,
    "codeformer_models_path": None, "gfpgan_models_path": None, "esrgan_models_path": None,
    "bsrgan_models_path": None, "realesrgan_models_path": None, "dat_models_path": None, "clip_models_path": None,
    "xformers": False, "force_enable_xformers": False, "xformers_flash_attention": False, "deepdanbooru": False,
    "opt_split_attention": False, "opt_sub_quad_attention": False, "sub_quad_q_chunk_size": 1024,
    "sub_quad_kv_chunk_size": None, "sub_quad_chunk_threshold": None, "opt_split_attention_invokeai": False,
    "opt_split_attention_v1": False, "opt_sdp_attention": True, "opt_sdp_no_mem_attention": False,
    "disable_opt_split_attention": False, "disable_nan_check": False, "use_cpu": [], "use_ipex": False,
    "disable_model_loading_ram_optimization": False, "listen": False, "port": None, "show_negative_prompt": False,
    "ui_config_file": None, "hide_ui_dir_config": False, "freeze_settings": False,
    "freeze_settings_in_sections": None, "freeze_specific_settings": None, "ui_settings_file": None,
    "gradio_debug": False, "gradio_auth": None, "gradio_auth_path": None, "gradio_img2img_tool": None,
    "gradio_inpaint_tool": None, "gradio_allowed_path": [], "opt_channelslast": False, "styles_file": [],
    "autolaunch": False, "theme": None, "use_textbox_seed": False, "disable_console_progressbars": True,
    "enable_console_prompts": False, "vae_path": None, "disable_safe_unpickle": False, "api": True, "api_auth": None,
    "api_log": False, "nowebui": False, "ui_debug_mode": False, "device_id": None, "administrator": False,
    "cors_allow_origins": None, "cors_allow_origins_regex": None, "tls_keyfile": None, "tls_certfile": None,
    "disable_tls_verify": None, "server_name": None, "gradio_queue": True, "no_gradio_queue": False,
    "skip_version_check": False, "no_hashing": False, "no_download_sd_model": True, "subpath": None,
    "add_stop_route": False, "api_server_stop": False, "timeout_keep_alive": 30, "disable_all_extensions": False,
    "disable_extra_extensions": False, "skip_load_model_at_start": True, "unix_filenames_sanitization": False,
    "filenames_max_length": 128, "no_prompt_history": False, "ldsr_models_path": None, "lora_dir": None,
    "lyco_dir_backcompat": None, "scunet_models_path": None, "swinir_models_path": None,
})
"""AUTOMATIC1111's flags with the values that describe an Easel. Paths and logins are never told."""

NOT_BUILT = "Easel does not {}; send the request to an AUTOMATIC1111 that does"
IDLE_QUEUE = {"msg": "estimation", "rank": None, "queue_size": 0, "avg_event_process_time": None,
              "avg_event_concurrent_process_time": None, "rank_eta": None, "queue_eta": 0}

Trained = Literal["embedding", "hypernetwork"]

router = APIRouter()


@router.get("/sdapi/v1/cmd-flags")
def cmd_flags(backend: EntireBackend) -> dict[str, Any]:
    """AUTOMATIC1111's flags, as they would be for this Easel."""
    settings = backend.settings
    return {**FLAGS, "listen": not settings.is_loopback, "port": settings.port,
            "api_server_stop": settings.api_server_stop, "use_cpu": ["all"] if settings.device == "cpu" else []}


@router.get("/sdapi/v1/memory")
def memory(backend: EntireBackend) -> dict[str, Any]:
    """Bytes of this process, and what is known of the card, whose memory a worker process holds."""
    used, share = psutil.Process().memory_info().rss, psutil.Process().memory_percent()
    total = round(100 * used / share) if share else psutil.virtual_memory().total
    return {"ram": {"free": total - used, "used": used, "total": total}, "cuda": _card(backend)}


@router.get("/sdapi/v1/scripts")
def scripts() -> dict[str, list[str]]:
    """The scripts that a request may name, in small letters as AUTOMATIC1111 lists them."""
    tabs = {"txt2img": always_on_scripts(img2img=False), "img2img": [*always_on_scripts(img2img=True), *SELECTABLE]}
    return {tab: [script.name.lower() for script in (*there, *PLOT_SCRIPTS.values())] for tab, there in tabs.items()}


@router.get("/sdapi/v1/script-info")
def script_info() -> list[dict[str, Any]]:
    """The arguments of each script in their order."""
    return [*(_script(script, always_on=True, img2img=on)
              for on in (False, True) for script in always_on_scripts(img2img=on)),
            *(_script(script, always_on=False) for script in SELECTABLE),
            *(_script(script, always_on=False, img2img=on) for on in (False, True) for script in PLOT_SCRIPTS.values())]


@router.get("/sdapi/v1/extensions")
def extensions(backend: EntireBackend) -> list[dict[str, Any]]:
    """The extensions in Easel's folder."""
    return [{"name": each.name, "remote": "", "branch": "", "commit_hash": "", "version": each.version,
             "commit_date": "", "enabled": each.state == "on"} for each in backend.extensions.listed()]


@router.post("/sdapi/v1/unload-checkpoint")
def unload_checkpoint(backend: EntireBackend) -> dict[str, Any]:
    """Frees the devices of all models that nothing is drawn with."""
    backend.unload_models()
    return {}


@router.post("/sdapi/v1/reload-checkpoint")
def reload_checkpoint() -> dict[str, Any]:
    """Always possible: the next request loads the model that it needs."""
    return {}


@router.post("/sdapi/v1/server-stop")
@router.post("/sdapi/v1/server-kill")
def server_stop(request: Request, door: FrontDoor) -> str:
    """Ends Easel as a signal does: what was queued or drawn goes on at the next start."""
    _check_may_stop(door)
    request.app.state.stop()
    return "Stopping."


@router.post("/sdapi/v1/server-restart")
def server_restart(request: Request, door: FrontDoor) -> str:
    """The same, and starts it again with the same flags."""
    _check_may_stop(door)
    request.app.state.stop(start_again=True)
    return "Restarting."


@router.post("/sdapi/v1/create/{kind}")
def create(kind: Trained) -> None:
    """Answered with 501."""
    raise HTTPException(501, NOT_BUILT.format("train models"))


@router.post("/sdapi/v1/train/{kind}")
def train(kind: Trained) -> None:
    """Answered with 501."""
    raise HTTPException(501, NOT_BUILT.format("train models"))


@router.get("/queue/status")
def queue_status() -> dict[str, Any]:
    """Gradio 3's probe, by which some clients see whether a server is there."""
    return dict(IDLE_QUEUE)


@router.get("/info")
def info() -> dict[str, Any]:
    """Gradio 3's list of functions for programs. Easel's page has none: programs have routes."""
    return {"named_endpoints": {}, "unnamed_endpoints": {}}


@router.get("/internal/ping")
def ping() -> dict[str, Any]:
    """Answers while the front lives."""
    return {}


@router.get("/internal/sysinfo")
def sysinfo(backend: EntireBackend, door: FrontDoor, options: ClientOptions) -> JSONAnswer:
    """What a person may be asked for who reports a fault."""
    told = {"Platform": platform.platform(), "Python": platform.python_version(), "Version": f"Easel {VERSION}",
            "RAM": dict(psutil.virtual_memory()._asdict()), "CPU": {"count": psutil.cpu_count()},
            "Workers": [asdict(worker) for worker in backend.status().workers],
            "Extensions": [row["name"] for row in extensions(backend)], "Config": write(options.chosen(), door)}
    return JSONAnswer(json.loads(json.dumps(told, default=str)),
                        headers={"Content-Disposition": 'inline; filename="sysinfo.json"'})


def _check_may_stop(door: Door) -> None:
    """Raises HTTPException unless the caller is an admin, or nobody logs in and the operator allows it."""
    if door.user == LOCAL and not door.backend.settings.api_server_stop:
        raise HTTPException(404, "This Easel was not started with --api-server-stop")
    if not door.user.is_admin:
        raise HTTPException(403, "Only an admin of this Easel may stop it")


def _card(backend: Backend) -> dict[str, Any]:
    cards = [worker for worker in backend.status().workers if worker.memory and not worker.device.startswith("CPU")]
    if not cards:
        return {"error": "unavailable: pictures are drawn without a graphics card"}
    total, used = cards[0].memory, backend.measures.memory.get(cards[0].name, MemoryUse())
    if not used.device:
        return {"system": {"total": total}, "error": "the worker has not told yet how much of the card is in use"}
    return {"system": {"free": max(total - used.device, 0), "used": used.device, "total": total},
            "allocated": {"current": used.tensors}, "reserved": {"current": used.worker}}


def _script(script: Script | AlwaysOnScript, *, always_on: bool, img2img: bool = True) -> dict[str, Any]:
    arguments = [{"label": one.label, "value": one.value, "minimum": one.minimum, "maximum": one.maximum,
                  "step": one.step, "choices": list(one.choices) if one.choices else None} for one in script.arguments]
    return {"name": script.name.lower(), "is_alwayson": always_on, "is_img2img": img2img, "args": arguments}
