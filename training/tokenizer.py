"""The demo model's tokenizer: CLIP's byte-level BPE with a vocabulary of its own captions' words."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from .captions import caption
from .scenes import random_scenes

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
EXTRA_WORDS = (
    "photo of picture with the and at in over under background , circle , square , triangle , star , heart , moon , "
    "house , tree ,"
)


def bytes_to_letters() -> list[str]:
    """GPT-2's and CLIP's printable letter for each of the 256 bytes, in the order of their vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]


def words(scenes: int = 4000) -> Counter[str]:
    """The words of many captions, and how often they come."""
    rng = random.Random(0)
    text = " ".join(caption(scene, rng) for scene in random_scenes(7, scenes, held_out=False))
    return Counter(f"{text.replace(',', ' ,')} {EXTRA_WORDS}".split())


def merges() -> list[tuple[str, str]]:
    """BPE merges (Sennrich et al. 2016) until every word of the captions is one token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=5000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False)
    bpe.train_from_iterator([f"{word} " * min(count, 50) for word, count in sorted(words().items())], trainer)
    return [(first, second) for first, second in json.loads(bpe.to_str())["model"]["merges"]]


def write_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt and the config as CLIP's tokenizers have them."""
    folder.mkdir(parents=True, exist_ok=True)
    letters, pairs = bytes_to_letters(), merges()
    entries = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in pairs), START, END]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    specials = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    form = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH}
    config = {**form, **specials, "errors": "replace", "add_prefix_space": False, "do_lower_case": True}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(specials, indent=2) + "\n")
