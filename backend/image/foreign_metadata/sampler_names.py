"""Samplers and schedules as other programs call them: ComfyUI and what is built on it, InvokeAI, NovelAI, diffusers."""

from __future__ import annotations

SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "euler_a": "Euler a", "heun": "Heun", "heunpp2": "HeunPP2",
    "dpm_2": "DPM2", "dpm2": "DPM2", "kdpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a", "dpm_2_a": "DPM2 a",
    "dpm2_a": "DPM2 a", "kdpm_2_a": "DPM2 a", "kdpm_2_ancestral": "DPM2 a", "lms": "LMS", "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_2s_a": "DPM++ 2S a", "dpmpp_2s": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE", "ddpm": "DDPM", "lcm": "LCM", "ipndm": "IPNDM", "ipndm_v": "IPNDM_V",
    "deis": "DEIS",
    "ddim": "DDIM", "plms": "PLMS", "pndm": "PLMS", "uni_pc": "UniPC", "unipc": "UniPC", "restart": "Restart",
}  # fmt: skip
SCHEDULES = {
    "karras": "Karras", "exponential": "Exponential", "polyexponential": "Polyexponential", "normal": "Normal",
    "simple": "Simple", "ddim_uniform": "DDIM", "sgm_uniform": "SGM Uniform", "beta": "Beta",
    "kl_optimal": "KL Optimal", "ays": "Align Your Steps",
    "k": "Karras",
}  # fmt: skip
_NO_OTHER = ("uniform", "native", "none", "")      # a schedule that is the sampler's own


def sampler(name: str) -> str:
    """Our label of another program's sampler; the name as it is when we have none."""
    key = name.strip().casefold().replace(" ", "_").replace("-", "_").removeprefix("k_").removesuffix("_gpu")
    labels = (label for label in SAMPLERS.values() if label.casefold().replace(" ", "_") == key)
    return SAMPLERS.get(key) or next(labels, name.strip())


def schedule(name: str) -> str:
    """Our label of another program's schedule; Automatic for none, and the name as it is when we have none."""
    key = name.strip().casefold().replace(" ", "_")
    return "Automatic" if key in _NO_OTHER else SCHEDULES.get(key, name.strip())


def translated(told: str) -> tuple[str, str] | None:
    """Sampler and schedule ("" for none) of a name such as `dpmpp_2m_sde_gpu_karras`; None when it is not known."""
    for behind in ("", *sorted(SCHEDULES, key=len, reverse=True)):
        head = told.removesuffix(f"_{behind}") if behind else told
        label = sampler(head)
        if (label in SAMPLERS.values()) and (head != told or not behind):
            return label, SCHEDULES.get(behind, "")
    return None
