"""Tiny Stable Diffusion 1, 2 and XL networks with random weights, and the original (LDM, sgm) single-file layout of any such."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
TOP = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
       "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
       "add_embedding.linear_2": "label_emb.0.2"}
OPEN_CLIP = {"embeddings.token_embedding.weight": "token_embedding.weight",
             "embeddings.position_embedding.weight": "positional_embedding", "final_layer_norm": "ln_final",
             "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj", "encoder.layers": "transformer.resblocks"}


@dataclass
class Networks:
    """`text` is CLIP's text encoder, or with `is_open_clip` OpenCLIP's; XL's refiner has only the second one."""

    unet: nn.Module
    vae: nn.Module
    text: nn.Module | None
    text_2: nn.Module | None = None
    is_open_clip: bool = False


def tiny(in_channels: int = 4, seed: int = 0) -> Networks:
    """A UNet of 32 and 64 channels, a VAE of four narrow stages, a text encoder of width 32 with CLIP's vocabulary."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        in_channels=in_channels, block_out_channels=(32, 64), layers_per_block=2, cross_attention_dim=32,
        attention_head_dim=8, norm_num_groups=32, sample_size=64,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    return Networks(unet.eval(), _vae(0.18215), CLIPTextModel(_text_config()).eval())


def tiny_sdxl(in_channels: int = 4, seed: int = 0) -> Networks:
    """As SDXL is built: a first stage without attention, deeper transformers, two text encoders of different width."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        in_channels=in_channels, block_out_channels=(32, 64, 128), layers_per_block=2, cross_attention_dim=96,
        attention_head_dim=(1, 1, 2), transformer_layers_per_block=(1, 1, 2), norm_num_groups=32, sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=48 + 6 * 8,
    )
    text_2 = _text_2()
    return Networks(unet.eval(), _vae(0.13025), CLIPTextModel(_text_config()).eval(), text_2.eval())


def tiny_sd2(in_channels: int = 4, seed: int = 0) -> Networks:
    """As SD 2 is built: linear projections, heads of 64, OpenCLIP's text encoder without its last block."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        in_channels=in_channels, block_out_channels=(64, 128), layers_per_block=2, cross_attention_dim=64,
        attention_head_dim=(1, 2), norm_num_groups=32, sample_size=64, use_linear_projection=True,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    text = CLIPTextModel(_text_config(hidden_size=64, intermediate_size=80, hidden_act="gelu", projection_dim=48))
    return Networks(unet.eval(), _vae(0.18215), text.eval(), is_open_clip=True)


def tiny_refiner(seed: int = 0) -> Networks:
    """As SDXL's refiner is built: attention in the middle stages alone, one text encoder, five numbers beside."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 128, 128), layers_per_block=2, cross_attention_dim=64,
        attention_head_dim=(1, 1, 2, 2), transformer_layers_per_block=2, norm_num_groups=32, sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=48 + 5 * 8,
    )
    return Networks(unet.eval(), _vae(0.13025), None, _text_2().eval())


def _text_2() -> nn.Module:
    return CLIPTextModelWithProjection(_text_config(
        hidden_size=64, intermediate_size=80, num_hidden_layers=4, hidden_act="gelu", projection_dim=48))


def _vae(scaling_factor: float) -> nn.Module:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=scaling_factor,
    ).eval()


def _text_config(**changes: object) -> CLIPTextConfig:
    return CLIPTextConfig(**{
        "vocab_size": 49408, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 1,
        "hidden_act": "quick_gelu", "projection_dim": 32, "eos_token_id": 2,
    } | changes)


def layout(networks: Networks) -> dict[str, Tensor]:
    """All tensors by the names of an original checkpoint, with the extra ones that such files carry."""
    depth = networks.unet.config.layers_per_block
    stages = len(networks.vae.config.block_out_channels)
    tensors = {"model.diffusion_model." + unet_name(k, depth, networks.unet): v for k, v in networks.unet.state_dict().items()}
    tensors |= {"first_stage_model." + vae_name(k, stages): as_convolution(k, v) for k, v in networks.vae.state_dict().items()}
    tensors |= _texts(networks)
    tensors["model_ema.decay"] = torch.tensor(0.9999)
    return {name: tensor.clone().contiguous() for name, tensor in tensors.items()}


def _texts(networks: Networks) -> dict[str, Tensor]:
    if networks.is_open_clip:
        return {"cond_stage_model.model." + k: v for k, v in _with_a_last_block(networks.text).items()}
    text = "conditioner.embedders.0.transformer.text_model." if networks.text_2 else "cond_stage_model.transformer.text_model."
    second = "conditioner.embedders.1.model." if networks.text else "conditioner.embedders.0.model."
    tensors = {text + k: v for k, v in networks.text.state_dict().items()} if networks.text else {}
    if networks.text:
        tensors[text + "embeddings.position_ids"] = torch.arange(77)[None]
    if networks.text_2:
        tensors |= {second + k: v for k, v in open_clip(networks.text_2.state_dict()).items()}
        tensors["denoiser.sigmas"] = torch.linspace(0.03, 14.6, 1000)
    return tensors


def _with_a_last_block(text: nn.Module) -> dict[str, Tensor]:
    """A text encoder as OpenCLIP's files have it: one more block, which nothing reads, and a projection."""
    layers = text.config.num_hidden_layers
    own = {"text_model." + name.removeprefix("text_model."): tensor for name, tensor in text.state_dict().items()}
    last = {name.replace(f"layers.{layers - 1}.", f"layers.{layers}."): torch.randn_like(tensor)
            for name, tensor in own.items() if f"layers.{layers - 1}." in name}
    return open_clip(own | last | {"text_projection.weight": torch.zeros(48, text.config.hidden_size)})


def save_folder(networks: Networks, folder: Path) -> Path:
    """As a diffusers folder."""
    networks.unet.save_pretrained(folder / "unet")
    networks.vae.save_pretrained(folder / "vae")
    if networks.text:
        networks.text.save_pretrained(folder / "text_encoder")
    if networks.text_2:
        networks.text_2.save_pretrained(folder / "text_encoder_2")
    pipeline = "StableDiffusionXLPipeline" if networks.text_2 else "StableDiffusionPipeline"
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    return folder


def save_single(networks: Networks, file: Path) -> Path:
    """As one .safetensors file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(layout(networks), file)
    return file


def unet_name(name: str, depth: int, unet: nn.Module) -> str:
    for theirs, ours in TOP.items():
        if name.startswith(theirs + "."):
            return ours + name.removeprefix(theirs)
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        kind, index, rest = found.groups()
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}." + _resnet(rest, kind)
    side, block, kind, layer, rest = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name).groups()
    block, layer = int(block), int(layer)
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * (depth + 1)}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        place = 2 if hasattr(unet.up_blocks[block], "attentions") else 1
        return f"output_blocks.{block * (depth + 1) + depth}.{place}.{rest}"
    index = (1 if side == "down" else 0) + block * (depth + 1) + layer
    return f"{'input' if side == 'down' else 'output'}_blocks.{index}.{int(kind == 'attentions')}." + _resnet(rest, kind)


def open_clip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder with projection, in OpenCLIP's names and shapes."""
    named: dict[str, Tensor] = {"logit_scale": torch.tensor(4.6)}
    for name, tensor in tensors.items():
        name = name.removeprefix("text_model.")
        if name == "text_projection.weight":
            named["text_projection"] = tensor.T
        elif found := re.match(r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)", name):
            three = [tensors["text_model." + name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            named[f"transformer.resblocks.{found[1]}.attn.in_proj_{found[2]}"] = torch.cat(three)
        elif not re.search(r"self_attn\.[kv]_proj", name):
            for theirs, ours in OPEN_CLIP.items():
                name = name.replace(theirs, ours)
            named[name] = tensor
    return named


def vae_name(name: str, stages: int) -> str:
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{stages - 1 - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{stages - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for theirs, ours in VAE_ATTENTION.items():
            name = name.replace(f".{theirs}.", f".{ours}.")
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def _resnet(rest: str, kind: str) -> str:
    if kind != "resnets":
        return rest
    head, _, tail = rest.rpartition(".")
    return f"{RESNET[head]}.{tail}"


def as_convolution(name: str, tensor: Tensor) -> Tensor:
    return tensor[:, :, None, None] if "attentions" in name and tensor.dim() == 2 else tensor
