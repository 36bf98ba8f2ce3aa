"""What is hard about an object: size, scale variation, occlusion and pose variation (DyeNet Sec. 4.1, Fig. 6).

The paper labelled test-dev by eye and by its best prediction, and gives no numbers. Here all follows from the true
masks by the rules below; thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.masks import IndexMask

CATEGORIES = {
    "size": ("small", "medium", "large"),
    "scale variation": ("no", "yes"),
    "occlusion": ("none", "partial", "heavy"),
    "pose variation": ("no", "yes"),
}
SMALL, LARGE = 0.01, 0.05
"""Shares of the frame's area."""
SCALE_RATIO = 0.5
"""The paper's: between the areas of some pair of boxes."""
PARTIAL, HEAVY = 0.5, 0.1
"""Shares of the area that the object has both before and after."""
POSE_IOU = 0.6
SHAPE_SIZE = 32
"""Masks are compared in their boxes at this many cells per side."""


@dataclass(frozen=True)
class Attributes:
    """The category of one object for each of ``CATEGORIES``.

    * ``size``: its area in its first frame, below ``SMALL`` or from ``LARGE`` on of the frame.
    * ``scale_variation``: its smallest box has less than half the area of its largest.
    * ``occlusion``: "heavy" if it vanishes, or is less than ``HEAVY`` of what it is at some time before and at some
      time after; "partial" below ``PARTIAL``, or where it touches another object.
    * ``pose_variation``: the median IoU of its shape, each in its own box, with that of its first frame is below
      ``POSE_IOU``.
    """

    size: str
    scale_variation: str
    occlusion: str
    pose_variation: str

    def to_dict(self) -> dict[str, str]:
        """By the names of ``CATEGORIES``."""
        return {name.replace("_", " "): value for name, value in vars(self).items()}


def attributes_of(dataset: VideoDataset, sequence: str) -> dict[int, Attributes]:
    """By object id, from all annotated frames of a sequence."""
    masks = [dataset.read_mask(sequence, name) for name in dataset.annotations(sequence)]
    ids = sorted({i for mask in masks for i in object_ids(mask)})
    return {object_id: object_attributes(masks, object_id) for object_id in ids}


def object_attributes(masks: Sequence[IndexMask], object_id: int) -> Attributes:
    """Of one object in index masks (H, W), one per frame; it must be in one of them."""
    own = [mask == object_id for mask in masks]
    start = next(t for t, mask in enumerate(own) if mask.any())
    own, masks = own[start:], masks[start:]
    areas = np.array([np.count_nonzero(mask) for mask in own])
    share = areas[0] / own[0].size
    size = "small" if share < SMALL else "large" if share >= LARGE else "medium"
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in own]
    extents = np.array([w * h for _, _, w, h in boxes if w])
    scale = extents.min() / extents.max() < SCALE_RATIO
    touches = any(_touches(mask, mine) for mask, mine in zip(masks, own, strict=True))
    shapes = [_shape(mask, box) for mask, box in zip(own, boxes, strict=True) if box[2]]
    ious = [(shape & shapes[0]).sum() / (shape | shapes[0]).sum() for shape in shapes]
    return Attributes(
        size, _yes(scale), _occlusion(areas, touches=touches), _yes(float(np.median(ious)) < POSE_IOU)
    )


def categorise(
    scores: Mapping[tuple[str, int], float], attributes: Mapping[tuple[str, int], Attributes]
) -> dict[str, dict[str, tuple[float | None, int]]]:
    """Attribute -> category -> (mean score of its objects, their number); None for a category without any."""
    out: dict[str, dict[str, tuple[float | None, int]]] = {}
    for name, categories in CATEGORIES.items():
        out[name] = {}
        for category in categories:
            members = [score for key, score in scores.items() if attributes[key].to_dict()[name] == category]
            out[name][category] = (float(np.mean(members)) if members else None, len(members))
    return out


def _occlusion(areas: NDArray[np.int_], *, touches: bool) -> str:
    """From the areas (T,) of one object from its first frame on."""
    before = np.maximum.accumulate(areas)
    after = np.maximum.accumulate(areas[::-1])[::-1]
    depth = (areas / np.maximum(1, np.minimum(before, after))).min()
    if depth < HEAVY or (areas == 0).any():
        return "heavy"
    return "partial" if depth < PARTIAL or touches else "none"


def _touches(mask: IndexMask, own: NDArray[np.bool_]) -> bool:
    """Whether a pixel of another object is next to one of this, diagonals included."""
    near = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return bool(((mask > 0) & (mask < 255) & near & ~own).any())


def _shape(mask: NDArray[np.bool_], box: Sequence[int]) -> NDArray[np.bool_]:
    x, y, width, height = box
    patch = mask[y : y + height, x : x + width].astype(np.float32)
    return cv2.resize(patch, (SHAPE_SIZE, SHAPE_SIZE), interpolation=cv2.INTER_AREA) >= 0.5


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"
