"""What the catalogue knows of a file: one entry type for models of every kind. Frozen and picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.catalog.fingerprints import Fingerprint

CHECKPOINT, VAE, UPSCALER = "checkpoint", "vae", "upscaler"
FACE_RESTORER, FACE_DETECTOR, FACE_NETWORK = "face_restorer", "face_detector", "insightface"
LORA, EMBEDDING, HYPERNETWORK = "lora", "embedding", "hypernetwork"
CONTROLNET, T2I_ADAPTER, IP_ADAPTER, CLIP_VISION = "controlnet", "t2i_adapter", "ip_adapter", "clip_vision"
INSTANT_ID = "instant_id"
CLIP, INCEPTION, ANNOTATOR = "clip", "inception", "annotator"
OBJECT_DETECTOR, SEGMENTER = "object_detector", "segmenter"
FACE_MODEL = "face_model"
CAPTIONER, TAGGER = "captioner", "tagger"
"""Names of kinds that code asks for; the table of all is in `kinds`."""

FileKey = tuple[str, str]
"""The kind of a file, and the name by which a request or a program asks for it."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file, or a diffusers folder, that lies in a models folder. `key` names it in requests, once in its kind."""

    kind: str
    key: str                                # readable: the name without ending, as far as that is unique
    path: str                               # where it lies, for the worker only; never shown to a client
    title: str = ""                         # AUTOMATIC1111's form: "folder/name.safetensors [0123456789]"
    single_file: bool = True                # not a diffusers folder
    fingerprint: Fingerprint | None = None  # of the state that is described here
    sha256: str = ""                        # "" until somebody has read the whole file
    family: str = ""                        # of the networks that it is, or goes with; "" or "unknown" if not told
    defaults: Mapping[str, Any] = field(default_factory=dict)   # field name -> value that suits this file
    facts: Mapping[str, Any] = field(default_factory=dict)      # what else it tells, by the words of its kind
    problem: str = ""                       # why it cannot be used, for a person; "" = it can

    @property
    def short_hash(self) -> str:
        return self.sha256[:10]
