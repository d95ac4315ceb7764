"""Which of insightface's files is meant where a face is to be known again, or put in the place of another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.catalog.face_networks import RECOGNITION, SWAP, detectors_beside
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import FACE_NETWORK, ModelFile
from backend.errors import NotFound

ANTELOPE, BUFFALO = "glintr100", "w600k"        # what the networks are called that know faces again
PACKS = {ANTELOPE: ("antelopev2", "glintr100.onnx, scrfd_10g_bnkps.onnx, genderage.onnx"),
         BUFFALO: ("buffalo_l", "w600k_r50.onnx, det_10g.onnx, genderage.onnx")}
FOLDER = "models/insightface/models"
NOTICE = "The public face models are for research that is not commercial."


def recognition_network(wanted: Iterable[str], catalog: ModelCatalog, *models: str) -> ModelFile:
    """What is only for one of these models, and may be for some others; else the first that is there of ANTELOPE and
    BUFFALO as wanted, else any other with a detector beside it.

    Raises NotFound saying which files to put where.
    """
    wanted = tuple(wanted)
    there = [file for file in catalog.usable(FACE_NETWORK) if file.facts["does"] == RECOGNITION
             and (not file.facts["only_for"] or not set(models).isdisjoint(file.facts["only_for"]))]
    whole = [file for file in there if detectors_beside(Path(file.path))]
    if own := [file for file in whole if file.facts["only_for"]]:
        return own[0]
    for name in wanted:
        if found := next((file for file in whole if Path(file.path).stem.lower().startswith(name)), None):
            return found
    if whole:
        return whole[0]
    pack, files = PACKS[wanted[0]]
    lacking = " with its detector" if there else ""
    raise NotFound(f"needs insightface's {pack}{lacking}, which is not here: put its files ({files}) into "
                   f"{FOLDER}/{pack}. {NOTICE}")


def swap_network(catalog: ModelCatalog) -> ModelFile:
    """What puts one face in the place of another. Raises NotFound saying which file to put where."""
    for file in catalog.usable(FACE_NETWORK):
        if file.facts["does"] == SWAP:
            return file
    raise NotFound("needs a file that is not here: put inswapper_128.onnx into models/insightface. " + NOTICE)
