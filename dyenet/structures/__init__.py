"""What is passed around: plain dataclasses over numpy arrays and tensors, no networks."""

from dyenet.structures.clip import Clip
from dyenet.structures.features import FrameFeatures, TemplateFeatures
from dyenet.structures.patches import (
    KEPT_DTYPE,
    MaskPatches,
    cell_centres,
    clip_boxes,
    enlarge_boxes,
    mask_boxes,
    paired_iou,
    patch_iou,
    to_box_coordinates,
)
from dyenet.structures.tracks import (
    Candidates,
    MaskTube,
    PropagationState,
    StartingPoint,
    Template,
    Tracklet,
)
from dyenet.structures.video import ArrayVideo, Frame, Video

__all__ = [
    "KEPT_DTYPE",
    "ArrayVideo",
    "Candidates",
    "Clip",
    "Frame",
    "FrameFeatures",
    "MaskPatches",
    "MaskTube",
    "PropagationState",
    "StartingPoint",
    "Template",
    "TemplateFeatures",
    "Tracklet",
    "Video",
    "cell_centres",
    "clip_boxes",
    "enlarge_boxes",
    "mask_boxes",
    "paired_iou",
    "patch_iou",
    "to_box_coordinates",
]
