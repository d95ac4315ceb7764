"""What people paint on a picture in the browser, kept as uploads: a mask in black and white, or colours with alpha."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import prod

from PIL import Image

from backend.errors import NotFound
from backend.image import painting, upload_decoding
from backend.image.decode_budget import DECODING
from backend.store.uploads import Uploads


@dataclass(frozen=True, slots=True)
class PaintedLayer:
    """Paint on the upload `over`: the corner of the cut-out that is sent, and what was kept of it before."""

    over: str
    left: int = 0
    top: int = 0
    former: str = ""
    mask: bool = False


class PaintedLayers:
    """Every method sees one owner's uploads only."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    def keep(self, data: bytes, layer: PaintedLayer, owner: str) -> str:
        """The id of what is painted, at the picture's own size; "" for nothing.

        `former` stays where it looks the same: an uploaded mask keeps its greys until it is painted on. Raises
        UserError for what is no picture or does not lie on it, NotFound without the picture.
        """
        size = self._uploads.size(layer.over, owner)
        with DECODING.share(max(size, upload_decoding.size(data), key=prod)):
            sheet = painting.placed(upload_decoding.paint(data), (layer.left, layer.top), size)
            former = self._former(layer.former, owner)
            if layer.mask:
                sheet = painting.as_mask(sheet)
            if former and (painting.same_mask if layer.mask else painting.same_paint)(sheet, former):
                return layer.former
            return self._uploads.keep(sheet, owner).id if sheet.getbbox() else ""

    def sketch(self, picture: str, painted: str, owner: str) -> tuple[str, str]:
        """The ids of the picture with the paint on it, and of the mask of all that this changed. NotFound."""
        with DECODING.share(max(self._uploads.size(picture, owner), self._uploads.size(painted, owner), key=prod)):
            ground, sheet = self._open(picture, owner), self._open(painted, owner).convert("RGBA")
            whole = self._uploads.keep(painting.composite(ground, painting.placed(sheet, (0, 0), ground.size)), owner)
            return whole.id, self._uploads.keep(painting.sketched_mask(sheet), owner).id

    def _open(self, name: str, owner: str) -> Image.Image:
        with Image.open(self._uploads.file(name, owner)) as image:
            image.load()
            return image

    def _former(self, name: str, owner: str) -> Image.Image | None:
        with suppress(NotFound):
            return self._open(name, owner)
        return None
