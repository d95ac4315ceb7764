"""The kinds of model files: where each lies, what it is called, and how a file tells what it is. One kind, one row.

A file whose kind Easel cannot use yet is listed and offered while typing, and whoever asks for it is told.
Folders are named below each models folder, Easel's own name first and then those of AUTOMATIC1111 and its extensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.catalog import (
    adapters,
    captioners,
    checkpoints,
    clip_folders,
    face_models,
    face_networks,
    inception_files,
    ip_adapters,
    object_detectors,
    upscalers,
    vaes,
)
from backend.catalog.description import Description
from backend.catalog.embedding_cards import PICTURES
from backend.catalog.fingerprints import sha256_of
from backend.catalog.folder_scan import Found
from backend.catalog.model_file import (
    ANNOTATOR,
    CAPTIONER,
    CHECKPOINT,
    CLIP,
    CLIP_VISION,
    CONTROLNET,
    EMBEDDING,
    FACE_DETECTOR,
    FACE_MODEL,
    FACE_NETWORK,
    FACE_RESTORER,
    HYPERNETWORK,
    INCEPTION,
    INSTANT_ID,
    IP_ADAPTER,
    LORA,
    OBJECT_DETECTOR,
    SEGMENTER,
    T2I_ADAPTER,
    TAGGER,
    UPSCALER,
    VAE,
)
from backend.catalog.network_hashes import addnet_hash
from backend.table import Table

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
WEIGHTS = (".safetensors", *PICKLES)
_CHECKPOINTS = ("checkpoints", "Stable-diffusion")
_UPSCALERS = ("upscalers", "ESRGAN", "RealESRGAN", "SwinIR", "DAT", "HAT", "ScuNET")
_CONTROL = ("controlnet", "ControlNet")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model file. `describe` reads a file's header and says what it tells; None if it is of another kind.

    `folders` are the kind's own, in which a file that tells nothing still counts. In `guest_folders`, which belong to
    other kinds, a file counts if it describes itself without a problem. `single` are folders that are one model each.
    """

    name: str
    label: str                                  # for people, one of them
    describe: Callable[[Found], Description | None]
    folders: tuple[str, ...]
    endings: tuple[str, ...] = WEIGHTS
    guest_folders: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    marker: str = ""                            # a folder with a file of this name is one model
    usable: bool = False                        # whether Easel can draw with files of this kind
    digest: Callable[[Path], str] = sha256_of   # the hash by which pictures name a file; raises CheckpointError
    aliases: Mapping[str, str] = field(default_factory=dict)    # other programs' names, case-folded -> name of a file


KINDS: Table[Kind] = Table("kinds of model files", (
    Kind(CHECKPOINT, "checkpoint", checkpoints.describe, _CHECKPOINTS, (".safetensors", ".ckpt"),
         single=(checkpoints.DEMO,), marker=checkpoints.INDEX, usable=True),
    Kind(VAE, "VAE", vaes.describe, ("vae", "VAE"), guest_folders=_CHECKPOINTS, usable=True),
    Kind("vae_approx", "VAE approximation", adapters.describe_any, ("vae_approx", "VAE-approx", "VAE-taesd")),
    Kind("text_encoder", "text encoder", adapters.describe_any, ("text_encoders", "text_encoder")),
    Kind(LORA, "LoRA", adapters.describe_lora, ("loras", "Lora", "LyCORIS"), usable=True,
         digest=addnet_hash),
    Kind(EMBEDDING, "embedding", adapters.describe_embedding, ("embeddings", "../embeddings"),
         (*WEIGHTS, *PICTURES), usable=True),
    Kind(HYPERNETWORK, "hypernetwork", adapters.describe_hypernetwork, ("hypernetworks",), usable=True),
    Kind(CONTROLNET, "ControlNet", adapters.describe_controlnet, _CONTROL, marker="config.json", usable=True),
    Kind(T2I_ADAPTER, "T2I-Adapter", adapters.describe_t2i_adapter, ("t2i_adapter", "T2I-Adapter"),
         guest_folders=_CONTROL, marker="config.json", usable=True),
    Kind(IP_ADAPTER, "IP-Adapter", ip_adapters.describe_ip_adapter, ("ip_adapter", "IP-Adapter"),
         guest_folders=_CONTROL, usable=True),
    Kind(INSTANT_ID, "InstantID", ip_adapters.describe_instant_id, ("instant_id", "InstantID"),
         guest_folders=(*_CONTROL, "ip_adapter", "IP-Adapter"), usable=True),
    Kind(ANNOTATOR, "network of a preprocessor", adapters.describe_annotator, ("annotators", "ControlNetPreprocessor"),
         (*WEIGHTS, ".onnx"), marker="config.json", usable=True),
    Kind(CLIP, "CLIP", clip_folders.describe, ("clip",), (), marker=clip_folders.CONFIG, usable=True),
    Kind(INCEPTION, "FID network", inception_files.describe, (inception_files.FOLDER,), usable=True),
    Kind(CLIP_VISION, "CLIP vision encoder", ip_adapters.describe_clip_vision, ("clip_vision", "CLIP-vision"),
         guest_folders=("clip",), marker="config.json", usable=True),
    Kind(FACE_NETWORK, "face recognition network", face_networks.describe_face_network, ("insightface",), (".onnx",),
         usable=True),
    Kind(FACE_DETECTOR, "face detector", face_networks.describe_face_detector, ("insightface",), (".onnx",),
         usable=True),
    Kind(FACE_MODEL, "face model", face_models.describe_face_model, ("reactor/faces",), (".safetensors",), usable=True),
    Kind(OBJECT_DETECTOR, "detector of objects", object_detectors.describe_object_detector,
         ("adetailer", "ultralytics", "yolo"), (".onnx", ".pt"), usable=True),
    Kind(SEGMENTER, "SAM", object_detectors.describe_segmenter, ("sams", "sam"), (), marker="config.json", usable=True),
    Kind(CAPTIONER, "captioner", captioners.describe_captioner, ("BLIP", "interrogate"), (),
         marker=captioners.CONFIG, usable=True),
    Kind(TAGGER, "tagger", captioners.describe_tagger, ("deepbooru", "torch_deepdanbooru"),
         (".onnx",), usable=True),
    Kind(FACE_RESTORER, "face restorer", upscalers.describe_face_restorer, ("GFPGAN", "Codeformer"),
         guest_folders=_UPSCALERS, usable=True),
    Kind(UPSCALER, "upscaler", upscalers.describe_upscaler, _UPSCALERS, usable=True, aliases=upscalers.ALIASES),
))
