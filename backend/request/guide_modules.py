"""The preprocessors of guides: what each is called, what can be set, and which files it needs.

Names, aliases, sliders and usual values are those of sd-webui-controlnet. What they do is the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backend.table import Table

UNION_KINDS = ("OpenPose", "Depth", "Soft Edge", "Hard Edge", "Normal Map", "Segmentation", "Tile", "Inpaint")
"""In the order in which Union and ProMax have learnt them; the first have six."""

Kind = Literal["hint", "picture_prompt", "style", "reference"]
POSES = ("openpose", "openpose_full", "openpose_hand", "openpose_face", "openpose_faceonly", "dw_openpose_full")
NO_MODULE = "none"
PICTURE_PROMPT = "ip-adapter-auto"
INPAINT = "inpaint_only"
KEY_POINTS = "instant_id_face_keypoints"    # of InstantID's ControlNet: eyes, nose and mouth of a face
STYLE = "t2ia_style_clipvision"


@dataclass(frozen=True, slots=True)
class Slider:
    """A number that a preprocessor takes, under its own name."""

    label: str
    usual: float
    minimum: float
    maximum: float
    step: float = 1

    def reaches(self, value: float) -> bool:
        """Whether the number may be set."""
        return self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True)
class Module:
    """`kind`: what is made of the picture: a hint for a ControlNet or a T2I-Adapter, a picture prompt, or a reference.

    `sized`: it works at a resolution. `a`, `b`: its thresholds. `files`: the names of the files, or of the folder, that
    it needs below `models/annotators`.
    """

    name: str
    label: str
    kind: Kind = "hint"
    sized: bool = True
    a: Slider | None = None
    b: Slider | None = None
    files: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def levels(self, unit: Mapping[str, Any]) -> tuple[float, float]:
        """Its two thresholds: those of the unit, or the usual ones where its sliders do not reach these."""
        asked = (self.a, unit["threshold_a"]), (self.b, unit["threshold_b"])
        first, second = (value if slider is None or slider.reaches(value) else slider.usual for slider, value in asked)
        return first, second


_FIDELITY = Slider("Style fidelity", 0.5, 0, 1, 0.01)
_OPENPOSE = ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth")
_DWPOSE = ("yolox_l.onnx", "dw-ll_ucoco_384.onnx")
_GAMMA = Slider("Gamma correction", 1, 0.1, 2, 0.001)

BUILT_IN = (
    Module(NO_MODULE, "None: the picture is what the model wants to see", sized=False),
    Module("canny", "Canny edges", a=Slider("Low threshold", 100, 1, 255), b=Slider("High threshold", 200, 1, 255)),
    Module("invert", "Inverted",
           aliases=("invert (from white bg & black line)", "invert (from black bg & white line)")),
    Module("blur_gaussian", "Blurred", a=Slider("Sigma", 9, 0.01, 64, 0.01), aliases=("blur",)),
    Module("tile_resample", "Tile", sized=False, a=Slider("Down sampling rate", 1, 1, 8, 0.01), aliases=("tile",)),
    Module("threshold", "Threshold", a=Slider("Binarization threshold", 127, 0, 255)),
    Module("lineart_standard", "Line art, plain", aliases=("lineart_standard (from white bg & black line)",)),
    Module("scribble_xdog", "Scribble (XDoG)", a=Slider("XDoG threshold", 32, 1, 64)),
    Module("recolor_luminance", "Recolour, by luminance", a=_GAMMA),
    Module("recolor_intensity", "Recolour, by intensity", a=_GAMMA),
    Module("shuffle", "Shuffle"),
    Module("t2ia_color_grid", "Colour grid", aliases=("color",)),
    Module("inpaint_only", "Inpaint", sized=False, aliases=("inpaint", "inpaint_global_harmonious")),
    Module("softedge_hed", "Soft edges (HED)", files=("ControlNetHED.pth",), aliases=("hed",)),
    Module("softedge_hedsafe", "Soft edges (HED, safe)", files=("ControlNetHED.pth",), aliases=("hed_safe",)),
    Module("scribble_hed", "Scribble (HED)", files=("ControlNetHED.pth",), aliases=("fake_scribble",)),
    Module("softedge_pidinet", "Soft edges (PiDiNet)", files=("table5_pidinet.pth",), aliases=("pidinet",)),
    Module("softedge_pidisafe", "Soft edges (PiDiNet, safe)", files=("table5_pidinet.pth",), aliases=("pidinet_safe",)),
    Module("scribble_pidinet", "Scribble (PiDiNet)", files=("table5_pidinet.pth",), aliases=("pidinet_scribble",)),
    Module("softedge_teed", "Soft edges (TEED)", files=("7_model.pth",), aliases=("teed",)),
    Module("softedge_anyline", "Soft edges (Anyline)", files=("MTEED.pth",), aliases=("anyline",)),
    Module("mlsd", "Straight lines (MLSD)", files=("mlsd_large_512_fp32.pth",),
           a=Slider("Value threshold", 0.1, 0.01, 2, 0.01), b=Slider("Distance threshold", 0.1, 0.01, 20, 0.01)),
    Module("lineart_realistic", "Line art, of photographs", files=("sk_model.pth", "sk_model2.pth"),
           aliases=("lineart",)),
    Module("lineart_coarse", "Line art, coarse", files=("sk_model.pth", "sk_model2.pth")),
    Module("lineart_anime", "Line art, anime", files=("netG.pth",)),
    Module("openpose", "Pose (OpenPose)", files=_OPENPOSE),
    Module("openpose_full", "Pose, face and hands (OpenPose)", files=_OPENPOSE),
    Module("openpose_hand", "Pose and hands (OpenPose)", files=_OPENPOSE),
    Module("openpose_face", "Pose and face (OpenPose)", files=_OPENPOSE),
    Module("openpose_faceonly", "Face only (OpenPose)", files=_OPENPOSE),
    Module("dw_openpose_full", "Pose, face and hands (DWPose)", files=_DWPOSE),
    Module("depth_midas", "Depth (MiDaS)", files=("dpt_hybrid-midas-501f0c75.pt",), aliases=("depth",)),
    Module("depth_zoe", "Depth (Zoe)", files=("ZoeD_M12_N.pt",)),
    Module("depth_leres", "Depth (LeReS)", files=("res101.pth", "latest_net_G.pth")),
    Module("depth_leres++", "Depth (LeReS++)", files=("res101.pth", "latest_net_G.pth")),
    Module("depth_anything", "Depth (Depth Anything)", files=("depth_anything",)),
    Module("depth_anything_v2", "Depth (Depth Anything 2)", files=("depth_anything_v2",)),
    Module("normal_bae", "Normals (BAE)", files=("scannet.pt",)),
    Module("seg_ofade20k", "Segments (OneFormer, ADE20K)", files=("oneformer_ade20k",)),
    Module("seg_ufade20k", "Segments (UperNet, ADE20K)", files=("upernet_ade20k",), aliases=("segmentation",)),
    Module(PICTURE_PROMPT, "Picture prompt, by the model", "picture_prompt", sized=False,
           aliases=("ip-adapter_clip_sd15", "ip-adapter_clip_h", "ip-adapter_clip_g", "ip-adapter_clip_sdxl",
                    "ip-adapter_clip_sdxl_plus_vith", "ip-adapter_face_id", "ip-adapter_face_id_plus",
                    "instant_id_face_embedding", "InsightFace (InstantID)", "InsightFace+CLIP-H (IPAdapter)",
                    "CLIP-ViT-H (IPAdapter)", "CLIP-ViT-bigG (IPAdapter)")),
    Module(KEY_POINTS, "Key points of a face (InstantID)", sized=False),
    Module(STYLE, "Style of the picture", "style", sized=False, aliases=("clip_vision",)),
    Module("reference_only", "Reference only", "reference", sized=False, a=_FIDELITY),
    Module("reference_adain", "Reference, by AdaIN", "reference", sized=False, a=_FIDELITY),
    Module("reference_adain+attn", "Reference, both", "reference", sized=False, a=_FIDELITY),
)
MODULES: Table[Module] = Table("preprocessors of guides", BUILT_IN)

UNION_OF: Mapping[str, str] = {
    name: kind for kind, names in (
        ("OpenPose", POSES),
        ("Depth", ("depth_midas", "depth_zoe", "depth_leres", "depth_leres++", "depth_anything", "depth_anything_v2")),
        ("Soft Edge", ("softedge_hed", "softedge_hedsafe", "softedge_pidinet", "softedge_pidisafe", "softedge_teed",
                       "softedge_anyline", "scribble_hed", "scribble_pidinet", "scribble_xdog")),
        ("Hard Edge", ("canny", "mlsd", "lineart_standard", "lineart_realistic", "lineart_coarse", "lineart_anime")),
        ("Normal Map", ("normal_bae",)),
        ("Segmentation", ("seg_ofade20k", "seg_ufade20k")),
        ("Tile", ("tile_resample", "blur_gaussian")),
        ("Inpaint", ("inpaint_only",)),
    ) for name in names
}
"""What preprocessors make, as one of UNION_KINDS."""


def module_of(name: str) -> Module:
    """A preprocessor by its name, its label or an alias, in any spelling; a remark in brackets behind it counts only
    where it is a part of that. Raises KeyError.
    """
    wanted = name.strip().casefold()
    for spelling in (wanted, wanted.partition(" (")[0]):
        for module in MODULES.values():
            if spelling in (each.casefold() for each in (module.name, module.label, *module.aliases)):
                return module
    raise KeyError(name)
