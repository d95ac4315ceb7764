"""What small networks tell of themselves that go with a checkpoint: LoRAs, embeddings, ControlNets, IP-Adapters.

The words of headers are those of the programs that train them: kohya's `ss_` metadata, diffusers' and the original
layouts' tensor names. Numbers are widths of the text that a network listens to: 768 is SD1's, 1024 SD2's, 2048 SDXL's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from backend.catalog.description import Description
from backend.catalog.embedding_cards import PICTURES, read_card
from backend.catalog.fingerprints import weight_files
from backend.catalog.folder_scan import Found, clean_name
from backend.catalog.headers import Shapes, read_shapes
from backend.catalog.network_family import family_of_layers
from backend.catalog.network_names import BUNDLED

FAMILY_OF_WIDTH = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}
INSTANT_ID_WIDTH = 512          # of the face that InstantID's resampler is shown; other resamplers see CLIP's pictures
_KEYS_AND_VALUES = re.compile(r"attn2[._]to_k[._](lora[._](down|A)|weight|processor)|\.to_k_ip\.|attn2\.to_k\.")
_HINT_KINDS = "task_embedding"          # of Union and ProMax: a row for each kind of hint
_CONTROL = ("control_model.", "controlnet_", "input_hint_block.", "lllite_", "lora_controlnet", _HINT_KINDS)
_OTHER_CONTROL = {"lllite_": "a ControlNet-LLLite"}
_FIRST = ("input_blocks.0.0.weight", "conv_in.weight", "zero_convs.0.0.weight")
_LISTENS = re.compile(r"attn2[._]to_k(\.weight|\.down)?$")
STYLE_TOKENS = "style_embedding"
T2I_FIRST = ("body.0.block1.weight", "body.0.in_conv.weight", STYLE_TOKENS)
LARGE_CELLS = (256, 768)        # values of a cell of 16 pixels, grey or in colours: T2I-Adapters for SDXL look at these
_MAX_ALIAS = 200
_MAX_TRIGGER = 1_000
_WIDTH = re.compile(r"(\d{1,5})\.[01]\.linear")
_BESIDE = (".safetensors", ".pt", ".bin", ".ckpt")


def describe_any(found: Found) -> Description:
    """Whatever can be read. Raises CheckpointError."""
    return Description(problem="" if found.header.shapes else "the file holds no tensors")


def describe_annotator(found: Found) -> Description:
    """Nothing: a preprocessor finds its files and folders by their names."""
    return Description()


def describe_lora(found: Found) -> Description:
    """The name and hash that the trainer gave, and which checkpoints it goes with. Raises CheckpointError."""
    told = found.header.metadata
    alias = clean_name(told.get("ss_output_name", "")).strip()[:_MAX_ALIAS]
    digest = told.get("sshs_model_hash", "").lower()
    facts = {"alias": alias if alias not in ("", "None") else "", "model_hash": digest, "trigger": _trigger(told)}
    if not found.header.shapes:
        return Description(problem="the file holds no tensors", facts=facts)
    shapes = found.header.shapes
    facts["bundled"] = _bundled(shapes)
    family = _trained_on(told) or family_of_words(shapes) or family_of_layers(shapes, FAMILY_OF_WIDTH)
    return Description(family, facts=facts)


def _bundled(shapes: Shapes) -> dict[str, int]:
    """The words that lie in the file of a network, and how many vectors each has."""
    own = ((name.removeprefix(BUNDLED).partition(".")[0], shape) for name, shape in shapes.items()
           if name.startswith(BUNDLED) and len(shape) in (1, 2))
    return {word: _rows(shape) for word, shape in own}


def describe_embedding(found: Found) -> Description | None:
    """How many vectors of which width; None for pictures that hold none. Raises CheckpointError."""
    if found.path.suffix.lower() in PICTURES:
        return _describe_card(found.path)
    shapes = {name: shape for name, shape in found.header.shapes.items()
              if len(shape) in (1, 2) and not name.startswith("string_to_token")}
    if "clip_g" in shapes:
        return Description("sdxl", facts={"vectors": _rows(shapes["clip_g"]), "width": shapes["clip_g"][-1]})
    vectors = next((shape for name, shape in shapes.items()
                    if name == "emb_params" or name.startswith("string_to_param")), None)
    vectors = vectors or next(iter(shapes.values()), None)      # diffusers names the tensor by the word itself
    if vectors is None:
        return Description(problem="the file holds no vectors")
    return Description(FAMILY_OF_WIDTH.get(vectors[-1], ""), facts={"vectors": _rows(vectors), "width": vectors[-1]})


def _trigger(told: Mapping[str, str]) -> str:
    """The words that call a network forth, as its header tells them; "" where it does not."""
    words = told.get("modelspec.trigger_phrase", "")[:_MAX_TRIGGER].strip()
    return words if words not in ("None", "null") else ""


def _describe_card(path: Path) -> Description | None:
    """A picture that lies beside a file of its name is that file's preview."""
    if any(path.with_suffix(ending).exists() for ending in _BESIDE) or path.stem.lower().endswith(".preview"):
        return None
    card = read_card(path)
    if card is None:
        return None
    vectors, width = card.vectors.shape
    facts = {"vectors": vectors, "width": width, "alias": clean_name(card.name)}
    return Description(FAMILY_OF_WIDTH.get(width, ""), facts=facts)


def describe_hypernetwork(found: Found) -> Description:
    """Raises CheckpointError."""
    widths = hypernetwork_widths(found.header.shapes)
    return Description(_family_of_widths(widths), problem="" if widths else "its tensors are those of no hypernetwork")


def hypernetwork_widths(shapes: Shapes) -> set[int]:
    """How wide the inputs are before which a hypernetwork has layers."""
    return {int(found[1]) for name in shapes if (found := _WIDTH.match(name))}


def _family_of_widths(widths: set[int]) -> str:
    return next((FAMILY_OF_WIDTH[width] for width in (2048, 1024, 768) if width in widths), "")


def describe_controlnet(found: Found) -> Description | None:
    """None for the T2I-Adapters and IP-Adapters that often lie beside them. Raises CheckpointError."""
    shapes = shapes_of_network(found.path) if found.is_folder else found.header.shapes
    if _is_t2i_adapter(shapes) or is_ip_adapter(shapes):
        return None
    known = any(name.startswith(_CONTROL) for name in shapes)
    other = next((f"it is {label}, which Easel cannot use yet" for name, label in _OTHER_CONTROL.items()
                  if any(each.startswith(name) for each in shapes)), "")
    facts = {"difference": bool({"difference", "lora_controlnet"} & shapes.keys()), "first": _first_width(shapes),
             "words": _widths_of_words(shapes), "kinds": shapes.get(_HINT_KINDS, (0,))[0]}
    problem = other if known else "its tensors are those of no ControlNet"
    return Description(family_of_words(shapes), problem, facts=facts)


def _first_width(shapes: Shapes) -> int:
    """Channels of the first layer of a network's trunk; 0 where it is not told."""
    plain = {name.removeprefix("control_model."): shape for name, shape in shapes.items()}
    return next((plain[name][0] for name in _FIRST if plain.get(name)), 0)


def _widths_of_words(shapes: Shapes) -> tuple[int, ...]:
    """How wide the words are that the cross-attentions listen to."""
    return tuple(sorted({shape[1] for name, shape in shapes.items() if len(shape) > 1 and _LISTENS.search(name)}))


def shapes_of_network(path: Path) -> Shapes:
    """All tensors of a file, or of the weights in a folder of one network. Raises CheckpointError."""
    found: Shapes = {}
    for file in weight_files(path):
        found |= read_shapes(file)
    return found


def describe_t2i_adapter(found: Found) -> Description | None:
    """How wide its `first` level is; of a style adapter also which `layer` of CLIP it looks at, and how `wide` that is.

    Raises CheckpointError.
    """
    shapes = shapes_of_network(found.path) if found.is_folder else found.header.shapes
    if not _is_t2i_adapter(shapes):
        return Description(problem="its tensors are those of no T2I-Adapter")
    if STYLE_TOKENS in shapes:
        wide, words = shapes["proj"]
        return Description(FAMILY_OF_WIDTH.get(words, ""), facts={"layer": "inner", "wide": wide, "words": (words,)})
    plain = {name.removeprefix("adapter."): shape for name, shape in shapes.items()}
    level = plain.get("conv_in.weight") or plain.get("body.0.out_conv.weight")
    shown = plain.get("conv_in.weight") or plain.get("body.0.in_conv.weight")
    if not level or not shown or len(shown) < 2:
        return Description(problem="it lacks the first layer of a T2I-Adapter")
    return Description("sdxl" if shown[1] in LARGE_CELLS else "sd1", facts={"first": level[0]})


def _rows(vectors: tuple[int, ...]) -> int:
    return vectors[0] if len(vectors) == 2 else 1


def _trained_on(told: Mapping[str, str]) -> str:
    """The family of the checkpoint that a LoRA was trained on, from kohya's metadata, as AUTOMATIC1111 tells it."""
    base = told.get("ss_base_model_version", "")
    if base.startswith("sdxl_"):
        return "sdxl"
    if told.get("ss_v2") == "True":
        return "sd2"
    return "sd1" if base.startswith("sd_v1") else ""


def family_of_words(shapes: Shapes) -> str:
    """From the width of the text in the first layer that listens to it; "" where none is told."""
    widths = (shape[1] for name, shape in shapes.items() if len(shape) in (2, 4) and _KEYS_AND_VALUES.search(name))
    return next((FAMILY_OF_WIDTH[width] for width in widths if width in FAMILY_OF_WIDTH), "")


def _is_t2i_adapter(shapes: Shapes) -> bool:
    return any(name.startswith("adapter.body.") or name in T2I_FIRST for name in shapes)


def is_ip_adapter(shapes: Shapes) -> bool:
    return any(name.startswith(("ip_adapter.", "image_proj.")) for name in shapes)


def is_instant_id(shapes: Shapes) -> bool:
    shown = shapes.get("image_proj.proj_in.weight", ())
    return len(shown) == 2 and shown[1] == INSTANT_ID_WIDTH
