"""What the tensors of network files are called by the programs that write them: which module each changes, and how.

Known are kohya's and sgm's names, those of diffusers before and since PEFT, PEFT's own, LyCORIS', OneTrainer's and
ComfyUI's. A module's name is "flat" when its dots are underscores, as kohya writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

BUNDLED = "bundle_emb."         # OneTrainer's and kohya's prefix of embeddings that lie in the file of a network
WRAPPERS = ("base_model_model_", "lycoris_")        # flat prefixes that tell nothing of the module
PLAIN_PARTS = (
    "lora_down", "lora_up", "lora_mid", "alpha", "scale", "dora_scale", "magnitude",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    "on_input", "diff", "diff_b", "w_norm", "b_norm", "oft_blocks", "oft_diag", "rescale", "a1", "a2", "b1", "b2",
    "bm",
    "oft_R", "oft_r", "boft_R", "boft_s", "ia3_l", "cayley_terms", "cayley_bound",
)
"""What a tensor can be to its module, in LyCORIS' words; (IA)3's is only called `weight`. The last line is PEFT's."""

_OTHER_WORDS = {
    "lora_A": "lora_down", "lora_B": "lora_up", "lora.down": "lora_down", "lora.up": "lora_up",
    "lora_linear_layer.down": "lora_down", "lora_linear_layer.up": "lora_up", "lora_magnitude_vector": "magnitude",
}
_PART = "|".join(map(re.escape, sorted((*PLAIN_PARTS, *_OTHER_WORDS), key=len, reverse=True)))
_NAME = re.compile(rf"(?P<module>.+?)\.(?P<part>{_PART})(?:\.default(?:_\d+)?)?(?:\.weight)?")
_BARE = re.compile(r"(?P<module>.+)\.(?P<part>weight)")
_PROCESSOR = re.compile(
    r"(?P<module>.+?)(?:\.processor)?\.(?P<layer>to_[qkv]|to_out)_lora\.(?P<part>down|up)(?:\.weight)?")
_OF_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}

_SGM_TOP = {
    "input_blocks_0_0": "conv_in", "time_embed_0": "time_embedding_linear_1", "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1", "label_emb_0_2": "add_embedding_linear_2",
    "out_0": "conv_norm_out", "out_2": "conv_out",
}
_SGM_RESNET = {
    "in_layers_0": "norm1", "in_layers_2": "conv1", "emb_layers_1": "time_emb_proj", "out_layers_0": "norm2",
    "out_layers_3": "conv2", "skip_connection": "conv_shortcut",
}
_SGM_MIDDLE = {"0": "mid_block_resnets_0", "1": "mid_block_attentions_0", "2": "mid_block_resnets_1"}
_SGM_BLOCK = re.compile(r"(input|output)_blocks_(\d{1,3})_(\d)_(.+)")
_FIRST_RESNETS = re.compile(r"down_blocks_0_resnets_(\d{1,3})_")


@lru_cache(maxsize=8192)        # the same few thousand names are asked for at each step of loading a file
def split_name(name: str) -> tuple[str, str] | None:
    """(module, part) of a tensor's name, the part one of `PLAIN_PARTS` or "weight"; None for unknown words."""
    if found := _PROCESSOR.fullmatch(name):
        module, layer = found["module"], found["layer"]
        text = module.endswith("self_attn")
        return f"{module}.{_OF_TEXT[layer] if text else layer.replace('to_out', 'to_out.0')}", f"lora_{found['part']}"
    if found := _NAME.fullmatch(name) or _BARE.fullmatch(name):
        return found["module"], _OTHER_WORDS.get(found["part"], found["part"])
    return None


def flat(name: str) -> str:
    """A module's name as kohya writes it."""
    return name.replace(".", "_")


def candidates(module: str, prefixes: Iterable[str]) -> Iterator[str]:
    """What a flat name in a file may be inside a component whose names begin so: without prefix, and bare."""
    module = _unwrapped(module)
    for prefix in prefixes:
        if module.startswith(prefix):
            yield _unwrapped(module.removeprefix(prefix))
    yield module


def _unwrapped(module: str) -> str:
    for wrapper in WRAPPERS:
        module = module.removeprefix(wrapper)
    return module


def resnets_of(modules: Iterable[str]) -> int:
    """How many residual layers each block of a UNet has, from its flat diffusers names."""
    return 1 + max((int(found[1]) for name in modules if (found := _FIRST_RESNETS.match(name))), default=1)


def diffusers_name(module: str, resnets: int) -> str:
    """A UNet's module in diffusers' flat names, from sgm's; other names come back as they are.

    `resnets`: how many residual layers each of its blocks has.
    """
    if module in _SGM_TOP:
        return _SGM_TOP[module]
    if module.startswith("middle_block_"):
        number, _, rest = module.removeprefix("middle_block_").partition("_")
        return f"{_SGM_MIDDLE.get(number, number)}_{_SGM_RESNET.get(rest, rest)}"
    found = _SGM_BLOCK.fullmatch(module)
    if not found:
        return module
    side, number, place, rest = found[1], int(found[2]), int(found[3]), found[4]
    if rest in ("op", "conv"):
        block = (number - 1 if side == "input" else number) // (resnets + 1)
        return f"down_blocks_{block}_downsamplers_0_conv" if side == "input" else f"up_blocks_{block}_upsamplers_0_conv"
    block, layer = divmod(number - 1 if side == "input" else number, resnets + 1)
    kind = "resnets" if place == 0 else "attentions"
    return f"{'down' if side == 'input' else 'up'}_blocks_{block}_{kind}_{layer}_{_SGM_RESNET.get(rest, rest)}"


def text_name(module: str) -> str:
    """A text encoder's module in transformers' flat names; older ones say `text_model_` before each."""
    return module.removeprefix("text_model_")


def plain_name(component: str, module: str, resnets: int) -> str:
    """A module's flat name in diffusers' or transformers' words, whoever named it."""
    return diffusers_name(module, resnets) if component == "unet" else text_name(module)

