"""The text inside a picture that tells how it was made, in AUTOMATIC1111's format.

    a prompt of any number of lines
    Negative prompt: the same
    Steps: 20, Sampler: Euler a, ..., Version: Easel 0.1.0

`parse` gives the keys as AUTOMATIC1111 1.10.1 names them, in linear time; `write` and `read` go by the field table.
What that format cannot carry (a prompt line that begins with "Negative prompt:", white space at a line's ends, a
schedule named though it is the sampler's own) travels as JSON in one more key, `Easel`, which other programs pass over.
"""

from __future__ import annotations

from backend.image.infotext.parsing import parse
from backend.image.infotext.reading import Reading, read
from backend.image.infotext.syntax import quote, unquote
from backend.image.infotext.writing import ORDER, write

__all__ = ["ORDER", "Reading", "parse", "quote", "read", "unquote", "write"]
