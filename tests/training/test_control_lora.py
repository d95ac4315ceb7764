"""ControlNets of low rank: as near to the whole as their rank allows, in training, in their files, and read again."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file

from training.control_lora import bind, factors, is_large, opened, publish, tensors

RANK = 2


def tiny() -> tuple[ControlNetModel, UNet2DConditionModel]:
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=8,
        attention_head_dim=2, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8))
    with torch.no_grad():
        for name, weight in controlnet.named_parameters():
            change = torch.randn_like(weight) * 0.1
            if name in unet.state_dict() and is_large(weight, RANK):
                up, down = factors(change, RANK)
                change = (up @ down).view_as(weight)
            weight.add_(change)
    return controlnet.eval(), unet


def answers(controlnet: ControlNetModel) -> torch.Tensor:
    torch.manual_seed(2)
    given = torch.randn(1, 4, 8, 8), torch.tensor([7]), torch.randn(1, 3, 8)
    with torch.no_grad():
        down, middle = controlnet(*given, controlnet_cond=torch.rand(1, 3, 16, 16), return_dict=False)
    return torch.cat([each.flatten() for each in (*down, middle)])


def test_what_differs_by_no_more_than_the_rank_stays_as_it_was() -> None:
    controlnet, unet = tiny()
    before, whole = answers(controlnet), sum(weight.numel() for weight in controlnet.parameters())
    learns = bind(controlnet, unet, RANK)
    assert torch.allclose(answers(controlnet), before, atol=1e-5)
    assert sum(weight.numel() for weight in learns) < whole / 2
    answer = controlnet(torch.randn(1, 4, 8, 8), 3, torch.randn(1, 3, 8), torch.rand(1, 3, 16, 16), return_dict=False)
    answer[1].sum().backward()
    assert all(weight.grad is None for weight in set(controlnet.parameters()) - set(learns)), "the UNet's own stay"


def test_a_file_is_read_again_as_what_it_was(tmp_path: Path) -> None:
    controlnet, unet = tiny()
    bound = deepcopy(controlnet)
    bind(bound, unet, RANK)
    publish(tensors(bound), tmp_path / "x.safetensors")
    assert "lora_controlnet" in load_file(tmp_path / "x.safetensors")
    again = answers(opened(tmp_path / "x.safetensors", unet).eval())
    assert torch.allclose(again, answers(controlnet), atol=5e-3), "but for half numbers"
