"""CLIP's byte-pair tokenizer, with the text clean-up of OpenAI's reference code."""

import gzip
import json
import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import ftfy
import tokenizers
from tokenizers import AddedToken, Regex, models, pre_tokenizers

from backend.files.regular_files import read_regular

CLIP_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
OPEN_CLIP_SPECIALS = ("<start_of_text>", "<end_of_text>")

MAX_FILE = 16 << 20         # bytes of one file of a vocabulary

_VOCABULARY = Path(__file__).parent / "vocabulary" / "merges.txt.gz"
_WORD = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
_SPACE = re.compile(r"\s+")

Merge = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Text to token ids. `pad` is what the text encoder wants after the first `end`; `comma` is the id of `,` as a
    word, None when the vocabulary has none."""

    bpe: tokenizers.Tokenizer = field(repr=False)
    start: int
    end: int
    pad: int
    comma: int | None

    def ids(self, text: str) -> list[int]:
        """The ids of a text of any length, without start, end or padding.

        The text is repaired (ftfy), its white space folded, and it is lower-cased. The name of a special token, such as
        a typed `<|endoftext|>`, is that token; a character that the vocabulary lacks is `end`.
        """
        return self.bpe.encode(_clean(text), add_special_tokens=False).ids

    def words(self, text: str) -> list[tuple[str, list[int]]]:
        """The words of a text as the tokenizer tells them apart, each with its ids: together those of `ids`."""
        clean = _clean(text)
        encoding = self.bpe.encode(clean, add_special_tokens=False)
        runs = groupby(zip(encoding.word_ids, encoding.ids, encoding.offsets), key=lambda token: token[0])
        tokens = [list(run) for _, run in runs]
        return [(clean[run[0][2][0] : run[-1][2][1]], [token for _, token, _ in run]) for run in tokens]

    @staticmethod
    @cache
    def clip() -> "Tokenizer":
        """CLIP's own 49,408 ids, from the shipped merges."""
        merges = _shipped_merges()
        return _build(_vocabulary(merges, CLIP_SPECIALS), merges)

    @staticmethod
    @cache
    def open_clip() -> "Tokenizer":
        """OpenCLIP's: the same ids, other names for start and end, and 0 as padding."""
        merges = _shipped_merges()
        return _build(_vocabulary(merges, OPEN_CLIP_SPECIALS), merges, OPEN_CLIP_SPECIALS, pad="!")

    @staticmethod
    def from_folder(path: Path | str) -> "Tokenizer":
        """A CLIP-format tokenizer saved by diffusers: `vocab.json` and `merges.txt`, or `tokenizer.json`.

        Raises FileNotFoundError when the folder has neither, ValueError when they are no CLIP vocabulary, and OSError
        for what is no regular file or larger than any vocabulary.
        """
        folder = Path(path)
        try:
            if (folder / "vocab.json").exists():
                vocabulary = json.loads(_text(folder / "vocab.json"))
                merges = _read_merges(_text(folder / "merges.txt"))
            else:
                vocabulary, merges = _read_json(_text(folder / "tokenizer.json"))
            return _build(vocabulary, merges, pad=_pad_token(folder))
        except (AttributeError, LookupError, TypeError, RecursionError, OverflowError) as error:
            raise ValueError(f"not a CLIP vocabulary: {error}") from error

    @staticmethod
    @lru_cache(maxsize=4)
    def of(other: Any) -> "Tokenizer":
        """This class around the vocabulary of a `tokenizers.Tokenizer` or a transformers tokenizer that holds one.

        Their own normalisation and special tokens are left behind: OpenCLIP's files make a typed `!` the padding.
        Raises TypeError for anything else.
        """
        if isinstance(other, Tokenizer):
            return other
        backend = getattr(other, "backend_tokenizer", other)
        if not isinstance(backend, tokenizers.Tokenizer):
            raise TypeError(f"not a CLIP tokenizer: {type(other).__name__}")
        return _build(*_read_json(backend.to_str()))


def _clean(text: str) -> str:
    return _SPACE.sub(" ", ftfy.fix_text(text)).strip().lower()


def _build(
    vocabulary: dict[str, int],
    merges: list[Merge],
    specials: tuple[str, str] = CLIP_SPECIALS,
    pad: str = "",
) -> Tokenizer:
    missing = [token for token in specials if token not in vocabulary]
    if missing:
        raise ValueError(f"not a CLIP vocabulary: it lacks {' and '.join(missing)}")
    if any(part not in vocabulary for left, right in merges for part in (left, right, left + right)):
        raise ValueError("not a CLIP vocabulary: it lacks a part of its own merges")
    start, end = (vocabulary[token] for token in specials)
    bpe = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token=specials[1], end_of_word_suffix="</w>"))
    words = pre_tokenizers.Split(_WORD, "removed", invert=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    bpe.add_special_tokens([AddedToken(token, normalized=False) for token in specials])
    return Tokenizer(bpe, start, end, vocabulary.get(pad, end), vocabulary.get(",</w>"))


def _shipped_merges() -> list[Merge]:
    return _read_merges(gzip.decompress(_VOCABULARY.read_bytes()).decode())


def _read_merges(text: str) -> list[Merge]:
    lines = (line for line in text.splitlines() if not line.startswith("#version"))
    return [(left, right) for left, _, right in (line.partition(" ") for line in lines) if right]


def _read_json(text: str) -> tuple[dict[str, int], list[Merge]]:
    saved = json.loads(text)
    if saved["model"].get("type", "BPE") != "BPE":
        raise ValueError(f"not a CLIP vocabulary: the model is {saved['model']['type']}")
    added = {token["content"]: token["id"] for token in saved.get("added_tokens", [])}
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in saved["model"]["merges"]]
    return added | saved["model"]["vocab"], merges


def _text(file: Path) -> str:
    return read_regular(file, MAX_FILE).decode("utf-8")


def _pad_token(folder: Path) -> str:
    """The padding token that the folder's configuration names, as text or as an object with `content`, or empty."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).exists():
            token = json.loads(_text(folder / name)).get("pad_token")
            if token:
                return token["content"] if isinstance(token, dict) else token
    return ""


def _vocabulary(merges: list[Merge], specials: tuple[str, str]) -> dict[str, int]:
    """Ids in CLIP's order: bytes, bytes that end a word, merges, start, end."""
    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *(left + right for left, right in merges), *specials]
    return {word: index for index, word in enumerate(words)}


def _byte_letters() -> list[str]:
    """The letter that stands for each byte: printable bytes for themselves first, then the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + index) for index in range(256 - len(printable))]
