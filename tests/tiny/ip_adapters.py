"""IP-Adapter files with random weights for tiny networks, in the names of tencent-ailab's files."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection, IPAdapterPlusImageProjection
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from backend.worker.adapters.ip_adapter import cross_attentions

WIDTH, PROJECTION, IDENTITY = 64, 48, 512
INNER = {"layers.{}.ln0": "layers.{}.0.norm1", "layers.{}.ln1": "layers.{}.0.norm2", "layers.{}.attn.to_q": "layers.{}.0.to_q",
         "layers.{}.attn.to_out.0": "layers.{}.0.to_out", "layers.{}.ff.0": "layers.{}.1.0", "layers.{}.ff.1.net.0.proj": "layers.{}.1.1",
         "layers.{}.ff.1.net.2": "layers.{}.1.3"}


def tower(seed: int = 5) -> CLIPVisionModelWithProjection:
    torch.manual_seed(seed)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=1, image_size=28, patch_size=14,
        projection_dim=PROJECTION, hidden_act="gelu")).eval()


def plain(context: int) -> dict[str, Tensor]:
    return {"proj.weight": torch.randn(4 * context, PROJECTION) * 0.2, "proj.bias": torch.randn(4 * context) * 0.2,
            "norm.weight": torch.randn(context), "norm.bias": torch.randn(context)}


def full(context: int) -> dict[str, Tensor]:
    return {"proj.0.weight": torch.randn(WIDTH, WIDTH) * 0.2, "proj.0.bias": torch.randn(WIDTH), "proj.2.weight": torch.randn(context, WIDTH) * 0.2,
            "proj.2.bias": torch.randn(context), "proj.3.weight": torch.randn(context), "proj.3.bias": torch.randn(context)}


def plus(context: int) -> dict[str, Tensor]:
    return resampler(context, WIDTH)


def resampler(context: int, wide: int) -> dict[str, Tensor]:
    return in_file_names(IPAdapterPlusImageProjection(embed_dims=wide, output_dims=context, hidden_dims=64, heads=1, num_queries=16).state_dict())


def in_file_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Diffusers' names to those of files."""
    names: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer = next((part for part in name.split(".") if part.isdigit()), "0")
        for own, file in INNER.items():
            if name.startswith(own.format(layer) + "."):
                name = file.format(layer) + name.removeprefix(own.format(layer))
                break
        names[name] = tensor
    for layer in range(4):
        both = [names.pop(f"layers.{layer}.attn.to_{part}.weight") for part in "kv"]
        names[f"layers.{layer}.0.to_kv.weight"] = torch.cat(both)
    return names


def face(context: int, tokens: int = 4) -> dict[str, Tensor]:
    """FaceID; a portrait has 16 tokens."""
    return {"proj.0.weight": torch.randn(1024, IDENTITY) * 0.1, "proj.0.bias": torch.randn(1024) * 0.1,
            "proj.2.weight": torch.randn(tokens * context, 1024) * 0.1, "proj.2.bias": torch.randn(tokens * context),
            "norm.weight": torch.randn(context), "norm.bias": torch.randn(context)}


def portrait(context: int) -> dict[str, Tensor]:
    return face(context, 16)


def face_plus(context: int) -> dict[str, Tensor]:
    theirs = IPAdapterFaceIDPlusImageProjection(embed_dims=context, output_dims=context, hidden_dims=WIDTH, id_embeddings_dim=IDENTITY, heads=1, num_tokens=4)
    state = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith(("proj.", "norm."))}
    names = {f"perceiver_resampler.{name}": tensor for name, tensor in in_file_names(state).items()}
    first = {"proj.0": "proj.net.0.proj", "proj.2": "proj.net.2", "norm": "norm"}
    return names | {f"{own}.{part}": theirs.state_dict()[f"{name}.{part}"] for own, name in first.items() for part in ("weight", "bias")}


def instant_id(context: int) -> dict[str, Tensor]:
    return resampler(context, IDENTITY)


PROJECTIONS = {"plain": plain, "plus": plus, "full": full}
FACES = {"ip-adapter-faceid": face, "ip-adapter-faceid-portrait": portrait, "ip-adapter-faceid-plus": face_plus, "ip-adapter-faceid-plusv2": face_plus,
         "instant_id": instant_id}
CARRY_LORA = ("ip-adapter-faceid", "ip-adapter-faceid-plus", "ip-adapter-faceid-plusv2")


def lora(unet: nn.Module) -> dict[str, Tensor]:
    """Of every attention, as FaceID's files have it beside the other tensors."""
    found = {}
    for number, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for part, layer in {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v, "out": attention.to_out[0]}.items():
            found[f"{number}.to_{part}_lora.down.weight"] = torch.randn(8, layer.in_features) * 0.1
            found[f"{number}.to_{part}_lora.up.weight"] = torch.randn(layer.out_features, 8) * 0.1
    return found


def ip_adapter(unet: nn.Module, kind: str, seed: int = 6) -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(seed)
    context = unet.config.cross_attention_dim
    attentions = {}
    for number, module in enumerate(cross_attentions(unet)):
        for part in "kv":
            attentions[f"{2 * number + 1}.to_{part}_ip.weight"] = torch.randn(module.to_q.weight.shape[0], context) * 0.2
    more = lora(unet) if kind in CARRY_LORA else {}
    return {"image_proj": (PROJECTIONS | FACES)[kind](context), "ip_adapter": attentions | more}


def flat(tables: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """As .safetensors files have them."""
    return {f"{table}.{name}": tensor.contiguous() for table, inner in tables.items() for name, tensor in inner.items()}
