"""Does the demo's InstantID keep who somebody is, and does the face stand where it shall? Drawn and looked at by Easel.

    python -m training.measure_instant_id [--pictures 40] [--json F] [--grid PNG] [--person PNG]

People and seeds that no training saw. Who is drawn is shown by one portrait, where the face shall be by another
person's. Identities are told as `measure_faces` tells them; distances are those of the five points that are found.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from backend.catalog.guide_files import guide_file, preferred
from backend.request.guide_choices import GUIDE_CHOICES
from backend.request.guide_modules import KEY_POINTS, PICTURE_PROMPT
from backend.worker.faces.analysis import Face, FaceAnalysis

from .command_line import measuring, tell
from .data import PICTURE
from .faces import Portrait, draw_face, people, posed
from .measure import Question, grid, share
from .measure_faces import COLUMNS, alike, looker, nearest, strangers, threshold
from .measure_guides import Studio
from .scenes import Scene
from .train_instant_id import FILE, IDENTITY_NET

SHOWN_SEED, POSES_SEED, FIRST_SEED = 2061, 2062, 1300


def unit(studio: Studio, choice: str, module: str, model: str) -> dict[str, object]:
    """As "Use this face" fills it in."""
    wanted = preferred(guide_file(model, studio.catalog))
    return {"module": module, "model": model, "weight": GUIDE_CHOICES[choice].weight, **wanted}


def sitters(count: int, seed: int) -> list[Portrait]:
    """People held back, each once, anywhere in their pictures."""
    rng = random.Random(seed)
    return [posed(person, rng) for person in rng.sample(people(held_out=True), count)]


def seen(networks: FaceAnalysis, pictures: Sequence[Image.Image]) -> list[Face | None]:
    """The largest face of each."""
    found = [networks.faces(np.asarray(picture.convert("RGB"))) for picture in pictures]
    return [max(faces, key=lambda face: face.area) if faces else None for faces in found]


def apart(one: Face | None, other: Face | None) -> float:
    """The mean distance of the five points, as a part of the picture; NaN where there is no face."""
    if one is None or other is None:
        return float("nan")
    distances = np.linalg.norm(np.asarray(one.points) - np.asarray(other.points), axis=1)
    return float(distances.mean()) / PICTURE


def measure(studio: Studio, count: int) -> tuple[dict[str, float], list[list[Image.Image]]]:
    """Figures, and who was shown, where, what was drawn, and without."""
    networks = looker(studio)
    known, told = strangers(networks)
    bound, sure = threshold(known)
    who, where = sitters(count, SHOWN_SEED), sitters(count, POSES_SEED)
    shown, poses = ([draw_face(one) for one in each] for each in (who, where))
    asked = [Question(Scene(one.background), f"a face on a {one.background} background", FIRST_SEED + number)
             for number, one in enumerate(who)]
    drawn = studio.drawn_by(asked, (unit(studio, "face", PICTURE_PROMPT, FILE.stem), shown),
                            (unit(studio, "face_points", KEY_POINTS, IDENTITY_NET.stem), poses))
    without = studio.without(asked)
    wanted, stands, found, bare = (seen(networks, each) for each in (shown, poses, drawn, without))
    identity = [[face.normed if face else None for face in each] for each in (wanted, found, bare)]
    others = [*identity[0][1:], identity[0][0]]
    near = [alike(a, b) for a, b in zip(identity[0], identity[1], strict=True)]
    off = [apart(a, b) for a, b in zip(stands, found, strict=True)]
    elsewhere = [apart(a, b) for a, b in zip([*stands[1:], stands[0]], found, strict=True)]
    return told | sure | {
        "a face is drawn": share([one is not None for one in found]),
        "identity, mean": round(float(np.mean(near)), 4),
        "identity kept": share([one >= bound for one in near]),
        "the nearest of all people held back": share(
            [nearest(one, known) == each.person for one, each in zip(identity[1], who, strict=True)]),
        "another's identity": share([alike(a, b) >= bound for a, b in zip(others, identity[1], strict=True)]),
        "identity kept, without": share(
            [alike(a, b) >= bound for a, b in zip(identity[0], identity[2], strict=True)]),
        "points, mean distance": round(float(np.nanmean(off)), 4),
        "points, 95 % are nearer than": round(float(np.nanquantile(off, 0.95)), 4),
        "points, mean distance to the next picture's": round(float(np.nanmean(elsewhere)), 4),
    }, [shown, poses, drawn, without]


def main() -> None:
    parser = measuring(__doc__, "who was shown, where, drawn, without", pictures=40)
    parser.add_argument("--person", type=Path, help="write the portrait of somebody here")
    options = parser.parse_args()
    told, rows = measure(Studio(), options.pictures)
    if options.person:
        rows[0][0].save(options.person)
    result = {"pictures": options.pictures, **told}
    tell(options, result, lambda: grid([picture for row in rows for picture in row[:COLUMNS]], COLUMNS))


if __name__ == "__main__":
    main()
