"""A picture tower that begins as a convolutional network: each attention head looks at one neighbour of a token.

Attention can be a convolution (Cordonnier, Loukas and Jaggi 2020), and a tower that begins as one needs far fewer
pictures than one that has to find out what lies beside what (d'Ascoli et al. 2021). It is free to become another.
"""

from __future__ import annotations

import math

import torch
from transformers import CLIPVisionModel

NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]       # of each head: rows down, columns to the right
FREQUENCIES = (1, 2, 4)         # half turns over twice the side of the grid of tokens
PLACES = 4 * len(FREQUENCIES)   # dimensions of a token that say where it is
SHARPNESS = 2.5


def angles(side: int) -> torch.Tensor:
    """Radians by which a step of one token turns each pair of dimensions."""
    return math.pi / side * torch.tensor(FREQUENCIES, dtype=torch.float32)


@torch.no_grad()
def begin_as_convolutions(tower: CLIPVisionModel) -> None:
    """The last `PLACES` dimensions of every token say its row and column, and heads find their neighbours by them."""
    table, width = tower.embeddings.position_embedding.weight, tower.config.hidden_size
    side = tower.config.image_size // tower.config.patch_size
    turns = angles(side)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    table.mul_(0.1)
    for start, place in ((0, rows), (2 * len(turns), columns)):
        turned = place.flatten()[:, None] * turns
        where = width - PLACES + start
        table[1:, where : where + len(turns)] = turned.cos()
        table[1:, where + len(turns) : where + 2 * len(turns)] = turned.sin()
    tower.embeddings.patch_embedding.weight[-PLACES:] = 0
    tower.embeddings.class_embedding[-PLACES:] = 0
    for layer in tower.encoder.layers:
        _look_at_neighbours(layer.self_attn, turns)


def _look_at_neighbours(attention: torch.nn.Module, turns: torch.Tensor) -> None:
    width, size = attention.q_proj.weight.shape[1], attention.head_dim
    for head, (down, right) in enumerate(NEIGHBOURS):
        rows = slice(head * size, head * size + PLACES)
        keys = torch.zeros(PLACES, width)
        keys[:, -PLACES:] = torch.eye(PLACES)
        queries = torch.zeros(PLACES, width)
        for axis, steps in enumerate((down, right)):
            half = slice(axis * PLACES // 2, (axis + 1) * PLACES // 2)
            queries[:, -PLACES:][half, half] = _turned(steps * turns)
        attention.q_proj.weight[head * size : (head + 1) * size] *= 0.1
        attention.k_proj.weight[head * size : (head + 1) * size] *= 0.1
        attention.q_proj.weight[rows] += SHARPNESS * queries
        attention.k_proj.weight[rows] += SHARPNESS * keys


def _turned(by: torch.Tensor) -> torch.Tensor:
    """The matrix that turns (cosines, sines) by these angles."""
    cosine, sine = torch.diag(by.cos()), torch.diag(by.sin())
    return torch.cat([torch.cat([cosine, -sine], 1), torch.cat([sine, cosine], 1)], 0)
