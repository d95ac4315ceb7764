"""A small BLIP with random weights in transformers' layout, and a small tagger in ONNX: it answers the picture's mean colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import BlipConfig, BlipForConditionalGeneration

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "a", "red", "square", "blue", "circle", "on", "##s"]
TAGS = [("general", "9"), ("blue_sky", "0"), ("green_(tree)", "0"), ("red_square", "0")]      # of the channels: blue, green, red


def save_blip(folder: Path) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(text_config={**small, "vocab_size": len(WORDS), "max_position_embeddings": 64, "encoder_hidden_size": 16,
                                     "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0},
                        vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=8)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def save_tagger(folder: Path, side: int = 16) -> Path:
    folder.mkdir(parents=True)
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n" + "".join(
        f"{number},{name},{category},1\n" for number, (name, category) in enumerate(TAGS)))
    scale = numpy_helper.from_array(np.array(1 / 255, np.float32), "scale")
    rating = numpy_helper.from_array(np.ones((1, 1), np.float32), "rating")
    nodes = [helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1, 2], keepdims=0), helper.make_node("Mul", ["mean", "scale"], ["share"]),
             helper.make_node("Concat", ["rating", "share"], ["tags"], axis=1)]
    graph = helper.make_graph(nodes, "tagger", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, side, side, 3])],
                              [helper.make_tensor_value_info("tags", TensorProto.FLOAT, [1, len(TAGS)])], [scale, rating])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "model.onnx")
    return folder
