"""What people can guide by, and what each choice fills in: preprocessor, model, weight, resize mode."""

from __future__ import annotations

from dataclasses import dataclass

from backend.request.guide_modules import KEY_POINTS, PICTURE_PROMPT, STYLE
from backend.table import Table

CROP = "Crop and Resize"


@dataclass(frozen=True, slots=True)
class GuideChoice:
    """`modules`: those that serve it, the usual one first; the first whose files are there is taken.

    `models`: words in the names of models that serve it, the best first; () where it takes no model. `unlike`: words in
    the names of models that have one of those and are another's. `kinds`: of which kinds these are.
    """

    name: str
    label: str
    modules: tuple[str, ...]
    models: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("controlnet", "t2i_adapter")
    weight: float = 1.0
    resize_mode: str = CROP

    def served_by(self, name: str, word: str) -> bool:
        """Whether a model of this name is one that `word`, one of `models`, means."""
        lower = name.casefold()
        return word in lower and not any(other in lower for other in self.unlike)


INSTANT_ID = ("instant_id", "instantid")
FACES = ("faceid", "face_id", *INSTANT_ID)      # alone a FaceID draws whom it is shown, InstantID with both its parts
GUIDE_CHOICES: Table[GuideChoice] = Table("what pictures guide by", (
    GuideChoice("edges", "Edges", ("canny",), ("canny", "union", "outline")),
    GuideChoice("soft_edges", "Soft edges", ("softedge_pidinet", "softedge_hed", "softedge_teed", "softedge_anyline",
                                             "softedge_pidisafe", "softedge_hedsafe"),
                ("softedge", "hed", "pidi", "union")),
    GuideChoice("lines", "Lines", ("lineart_realistic", "lineart_anime", "lineart_coarse", "lineart_standard",
                                   "invert"), ("lineart", "union")),
    GuideChoice("scribble", "Scribble", ("scribble_xdog", "scribble_hed", "scribble_pidinet", "threshold"),
                ("scribble", "sketch", "union")),
    GuideChoice("straight_lines", "Straight lines", ("mlsd",), ("mlsd", "union")),
    GuideChoice("depth", "Depth", ("depth_anything_v2", "depth_anything", "depth_midas", "depth_zoe", "depth_leres",
                                   "depth_leres++"), ("depth", "zoe", "union")),
    GuideChoice("normals", "Normals", ("normal_bae",), ("normal", "union")),
    GuideChoice("pose", "Pose", ("dw_openpose_full", "openpose_full", "openpose", "openpose_hand", "openpose_face",
                                 "openpose_faceonly"), ("openpose", "pose", "union")),
    GuideChoice("segments", "Segments", ("seg_ofade20k", "seg_ufade20k"), ("seg", "union")),
    GuideChoice("tiles", "Tiles", ("tile_resample",), ("tile", "promax")),
    GuideChoice("blur", "Blurred picture", ("blur_gaussian",), ("blur", "tile")),
    GuideChoice("inpaint", "Inpainting", ("inpaint_only",), ("inpaint", "promax")),
    GuideChoice("recolour", "Brightness, to recolour", ("recolor_luminance", "recolor_intensity"), ("recolor", "luma")),
    GuideChoice("shuffle", "Shuffled content", ("shuffle",), ("shuffle",)),
    GuideChoice("instruct", "Instruction (InstructPix2Pix)", ("none",), ("ip2p", "pix2pix")),
    GuideChoice("colours", "Colours", ("t2ia_color_grid",), ("color",)),
    GuideChoice("style", "Style", (STYLE,), ("style",), kinds=("t2i_adapter",)),
    GuideChoice("face", "Face", (PICTURE_PROMPT,), FACES, kinds=("instant_id", "ip_adapter"), weight=0.8),
    GuideChoice("face_points", "Face: where eyes, nose and mouth are", (KEY_POINTS,), INSTANT_ID,
                kinds=("controlnet",), weight=0.8),
    GuideChoice("picture", "Picture as prompt", (PICTURE_PROMPT,), ("ip-adapter", "ip_adapter", ""), FACES,
                ("ip_adapter",), weight=0.8),
    GuideChoice("reference", "Reference", ("reference_only", "reference_adain", "reference_adain+attn"), kinds=()),
))
