"""What describes pictures in words: BLIP as transformers saves it, and taggers in ONNX with their list of tags.

    <models>/BLIP/<name>/config.json, model.safetensors, and vocab.txt or tokenizer.json
    <models>/deepbooru/<name>/selected_tags.csv, model.onnx
"""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.model_file import CAPTIONER, TAGGER
from backend.files.regular_files import read_config

CONFIG, WEIGHTS = "config.json", "model.safetensors"
VOCABULARIES = ("vocab.txt", "tokenizer.json")
TAGS, TAGGER_WEIGHTS = "selected_tags.csv", "model.onnx"
MISSING = {
    CAPTIONER: "Easel describes pictures with BLIP, which is not here: put a folder as transformers saves it "
               f"({CONFIG}, {WEIGHTS}, vocab.txt), such as blip-image-captioning-base, into models/BLIP.",
    TAGGER: "Easel lists tags with a WD14 tagger, which is not here: put a folder with its "
            f"{TAGGER_WEIGHTS} and {TAGS}, such as wd-vit-tagger-v3, into models/deepbooru.",
}


def describe_captioner(found: Found) -> Description:
    """Raises CheckpointError where a file of the folder cannot be read."""
    if read_config(found.path / CONFIG).get("model_type") != "blip":
        return Description(problem="it is no BLIP as transformers saves one")
    if not (found.path / WEIGHTS).is_file():        # only other weights, which may be pickles
        return Description(problem=f"its folder lacks {WEIGHTS}")
    words = any((found.path / name).is_file() for name in VOCABULARIES)
    return Description(problem="" if words else f"its folder lacks its words: {' or '.join(VOCABULARIES)}")


def describe_tagger(found: Found) -> Description:
    """Loading it tells whether its network is one."""
    whole = found.path.with_name(TAGS).is_file()
    return Description(problem="" if whole else f"{TAGS} does not lie beside it")
