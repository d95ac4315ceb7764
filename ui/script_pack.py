"""The scripts of the page in one file: a browser that has none of them asks once, and not a hundred times.

They stay modules. Where one imports another by a path beside its own, the packed one asks for `easel/<path>`, which an
import map leads to the packed text; what else a text says of its own address is written out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from posixpath import dirname, join, normpath

LOADER = Path(__file__).with_suffix(".js")
SPECIFIER = re.compile(r"""(\bfrom\s*|\bimport\s*\(?\s*)(["'])(\.{1,2}/[^"'\n]+)\2""")
OWN_ADDRESS = "import.meta.url"


def packed(files: Mapping[str, bytes], aside: Sequence[str], face: str, folder: str) -> bytes:
    """A classic script, to stand before all modules of the page.

    `files`: modules by their path below the address `folder`; those named in `aside` keep their own address.
    `face`: the one that is imported as "easel".
    """
    own = sorted(path for path in files if path not in aside)
    texts = {path: _found_by_name(path, files[path].decode(), folder) for path in own}
    values = {"FILES": texts, "ASIDE": sorted({*files} - {*own}), "FACE": face, "FOLDER": folder}
    head = "".join(f"  const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in values.items())
    return LOADER.read_text("utf-8").replace("{\n", "{\n" + head, 1).encode()


def _found_by_name(path: str, text: str, folder: str) -> str:
    def named(found: re.Match[str]) -> str:
        before, quote, source = found.groups()
        return f"{before}{quote}easel/{normpath(join(dirname(path), source))}{quote}"

    address = f"new URL({json.dumps(f'.{folder}/{path}')}, document.baseURI).href"
    return SPECIFIER.sub(named, text).replace(OWN_ADDRESS, address)
