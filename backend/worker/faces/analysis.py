"""Faces in a picture with their points and identities, by insightface's networks (Deng et al. 2019) from one folder.

A folder such as antelopev2 or buffalo_l holds a detector (SCRFD), a network that knows faces again (ArcFace), one that
tells age and sex, and one that finds 106 key points; whatever else lies there is left alone. Nothing is ever fetched
from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog.face_networks import DETECTOR, beside
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.models.cancellation import heed
from backend.worker.models.memory_errors import out_of_memory
from backend.worker.models.onnx_session import OnCPU, Session, onnx_errors
from backend.worker.pixels import Pixels

SURE = 0.5                          # score from which something counts as a face
SIDES = (640, 512, 384, 256)        # of the square in which it is looked for: small ones find faces that fill a picture
BORDER = 0.25                       # of a picture's longer side, added around it where nothing was found inside
DETECTION, RECOGNITION, AGE, OUTLINE = "detection", "recognition", "genderage", "landmark_2d_106"

Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face: its `box` (left, top, right, bottom) and five `points` (5, 2), in pixels, and its `identity` (512,).

    The identity is as the network gives it, not of length 1. `male` and `age` where a network tells them, and so the
    `outline` (106, 2) in pixels: brows, eyes, nose, mouth, and the edge of the face from ear to ear.
    """

    box: Numbers
    points: Numbers
    score: float
    identity: Numbers
    male: bool | None = None
    age: int | None = None
    outline: Numbers | None = None

    @property
    def normed(self) -> Numbers:
        """The identity, of length 1."""
        return self.identity / np.linalg.norm(self.identity)

    @property
    def area(self) -> float:
        """Pixels of its box."""
        return float(np.prod(self.box[2:] - self.box[:2]))

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        outline = 0 if self.outline is None else self.outline.nbytes
        return self.box.nbytes + self.points.nbytes + self.identity.nbytes + outline


class Faces(tuple[Face, ...]):
    """The faces of one picture. A result of `Memory`'s."""

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(face.nbytes for face in self)


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class FaceAnalysis(OnCPU):
    """The networks of one folder in memory; onnxruntime runs them on the CPU. Owned by `Memory`."""

    networks: dict[str, Any]        # by task, as insightface names it
    bytes: int

    def faces(self, pixels: Pixels, sure: float = SURE, most: int = 0, *, outlined: bool = False) -> Faces:
        """All faces in pixels (H, W, 3), RGB, the surest first; one that is cut off at the border, too.

        `sure`: score from which something counts as a face. `most`: so many at most, large ones and those in the
        middle before others, as insightface weighs that; 0 is all. `outlined`: with their outlines, if a network here
        finds them.
        """
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        boxes, points = self._looked_for(bgr, sure, most)
        return Faces(self._told(bgr, box, five, outlined) for box, five in zip(boxes, points, strict=True))

    def _looked_for(self, bgr: Pixels, sure: float, most: int) -> tuple[Numbers, Numbers]:
        for side in SIDES:
            boxes, points = self._detected(bgr, side, sure, most)
            if len(boxes):
                return boxes, points
        around = round(max(bgr.shape[:2]) * BORDER)
        padded = np.pad(bgr, ((around, around), (around, around), (0, 0)))
        boxes, points = self._detected(padded, SIDES[0], sure, most)
        boxes[:, :4] -= around
        return boxes, points - around

    def _detected(self, bgr: Pixels, side: int, sure: float, most: int) -> tuple[Numbers, Numbers]:
        nothing = np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
        short, long = sorted(bgr.shape[:2])
        if short * side <= long:        # nothing is left of a narrow stripe at that size
            return nothing
        boxes, points = self.networks[DETECTION].detect(bgr, (side, side), max_num=most, det_thresh=sure)
        return nothing if points is None or not len(boxes) else (boxes, points)

    def _told(self, bgr: Pixels, box: Numbers, points: Numbers, outlined: bool) -> Face:
        from insightface.app.common import Face as Told

        told = Told(bbox=box[:4], kps=points, det_score=box[4])
        for task in (RECOGNITION, AGE, *([OUTLINE] if outlined else [])):
            if task in self.networks:
                self.networks[task].get(bgr, told)
        male = None if told.gender is None else bool(told.gender == 1)
        outline = told.get(OUTLINE)
        return Face(box[:4], points, float(box[4]), np.asarray(told.embedding, np.float32), male, told.age, outline)


def load(file: ModelFile, finder: Callable[[Path], Any] | None = None) -> FaceAnalysis:
    """The networks that lie beside a recognition network, and that. CheckpointError names the file at fault.

    `finder(path)` gives the one that finds faces, which then is somebody else's.
    """
    networks: dict[str, Any] = {}
    files = beside(Path(file.path))
    borrowed = [path for path in files if finder and DETECTOR.match(path.stem)]
    for path in files:
        network = finder(path) if finder and path in borrowed else read_network(path)
        networks.setdefault(getattr(network, "taskname", ""), network)
    for task, what in ((DETECTION, "finds faces"), (RECOGNITION, "knows faces again")):
        if task not in networks:
            raise CheckpointError(f"{Path(file.path).parent.name} holds no network that {what}")
    networks[DETECTION].prepare(-1, det_thresh=SURE, input_size=(SIDES[0], SIDES[0]))
    return FaceAnalysis(networks, sum(path.stat().st_size for path in files if path not in borrowed))


def finder(path: Path, session: Session) -> Any:
    """SCRFD as insightface has it, over a session of its file."""
    from insightface.model_zoo.scrfd import SCRFD

    return SCRFD(model_file=str(path), session=session, static_shape_sessions=False)


def read_network(path: Path) -> Any:
    """One network as insightface has it, on the CPU. CheckpointError when the file is gone, broken or another's."""
    import onnxruntime
    from insightface import model_zoo

    heed()
    broken = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError,
              OSError, *onnx_errors())
    onnxruntime.set_default_logger_severity(4)
    try:
        network = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"], static_shape_sessions=False)
    except broken as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"{path.name} cannot be loaded: it is broken or no network for faces; copy it again "
                              "from where it came from") from error
    if network is None:
        raise CheckpointError(f"{path.name} is no network for faces that insightface knows")
    network.session = Session(network.session, path.name)
    return network


def upright(pixels: Pixels, face: Face, side: int) -> Pixels:
    """The face (side, side, 3), turned and scaled as ArcFace is shown faces; black where the picture ends."""
    from insightface.utils import face_align

    return face_align.norm_crop(np.ascontiguousarray(pixels), landmark=face.points, image_size=side)
