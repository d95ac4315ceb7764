"""How much memory pictures may take while they are decoded: a small file can hold a very large picture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES_PER_PIXEL = 8         # Pillow holds four for each pixel in colour: the decoded picture, and what is made of it
LIMIT = 768 * 2**20         # one picture of the largest size that is read (8192 x 8192), or many small ones


class DecodeBudget:
    """Lets pictures be decoded at the same time as far as they fit into `limit` bytes; others wait for their turn.

    One that is larger than the limit is decoded alone. What a thread decodes while it holds a share is in that share.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._changed = threading.Condition()
        self._thread = threading.local()

    @contextmanager
    def share(self, size: tuple[int, int]) -> Iterator[None]:
        """Waits until a picture of this size (width, height) may be decoded, and holds its memory for the block."""
        if getattr(self._thread, "holds", False):
            yield
            return
        amount = size[0] * size[1] * BYTES_PER_PIXEL
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + amount <= self._limit)
            self._used += amount
        self._thread.holds = True
        try:
            yield
        finally:
            self._thread.holds = False
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


DECODING = DecodeBudget(LIMIT)
