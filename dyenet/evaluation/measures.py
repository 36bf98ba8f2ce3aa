"""J and F per frame, and their mean, recall and decay: the measures of DAVIS (Perazzi et al. 2016).

The numbers are those of the official code, davis2017-evaluation; where it errs, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

BOUNDARY_TOLERANCE = 0.008
"""Of the image's diagonal, rounded up to pixels: 8 at 854x480."""
RECALL_THRESHOLD = 0.5

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Statistics:
    """Of one measure over the frames of one object: ``mean`` and ``recall`` in [0, 1], ``decay`` in [-1, 1]."""

    mean: float
    recall: float
    decay: float


def region_similarity(prediction: Mask, truth: Mask) -> float:
    """J: the intersection over the union of two boolean masks (H, W); 1 if both are empty."""
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0


def boundary_accuracy(prediction: Mask, truth: Mask, *, tolerance: int | None = None) -> float:
    """F: the harmonic mean of the precision and the recall of the boundary of ``prediction``; masks (H, W) boolean.

    A boundary pixel is matched if one of the other boundary lies within ``tolerance`` pixels, by default
    ``tolerance_of`` the masks' size. Two masks without boundary have F = 1, one of the two has F = 0.
    """
    radius = tolerance_of(truth.shape) if tolerance is None else tolerance
    found, wanted = boundary_map(prediction), boundary_map(truth)
    num_found, num_wanted = cv2.countNonZero(found), cv2.countNonZero(wanted)
    if not num_found or not num_wanted:
        return float(num_found == num_wanted)
    disk = disk_of(radius)
    precision = cv2.countNonZero(cv2.bitwise_and(found, cv2.dilate(wanted, disk))) / num_found
    recall = cv2.countNonZero(cv2.bitwise_and(wanted, cv2.dilate(found, disk))) / num_wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_map(mask: Mask) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 where a pixel differs from its east, south or south-east neighbour.

    The last row looks only east, the last column only south, and the corner between them is 0.
    """
    mask = mask.view(np.uint8)
    boundary = np.zeros(mask.shape, np.uint8)
    east, south = mask[:, :-1] ^ mask[:, 1:], mask[:-1] ^ mask[1:]
    boundary[:-1, :-1] = east[:-1] | south[:, :-1] | (mask[:-1, :-1] ^ mask[1:, 1:])
    boundary[-1, :-1] = east[-1]
    boundary[:-1, -1] = south[:, -1]
    return boundary


def tolerance_of(shape: Sequence[int]) -> int:
    """The boundary's tolerance in pixels for masks of ``shape`` (H, W)."""
    return int(np.ceil(BOUNDARY_TOLERANCE * np.linalg.norm(shape)))


@lru_cache(maxsize=8)
def disk_of(radius: int) -> NDArray[np.uint8]:
    """(2r+1, 2r+1) uint8: 1 within ``radius`` of the centre, inclusive."""
    squares = np.arange(-radius, radius + 1) ** 2
    return (squares[:, None] + squares[None] <= radius**2).astype(np.uint8)


def frame_measures(prediction: Mask, truth: Mask) -> tuple[float, float]:
    """(J, F) of boolean masks (H, W), computed inside the box that holds both, which changes neither."""
    tolerance = tolerance_of(truth.shape)
    x, y, width, height = cv2.boundingRect((prediction | truth).view(np.uint8))
    if not width:
        return 1.0, 1.0
    # One pixel more on each side: a boundary pixel may lie left of or above the mask, and the last row and column
    # of the crop must be those of the frame or free of the masks.
    crop = slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1)
    prediction, truth = np.ascontiguousarray(prediction[crop]), np.ascontiguousarray(truth[crop])
    return region_similarity(prediction, truth), boundary_accuracy(prediction, truth, tolerance=tolerance)


def statistics(values: Sequence[float] | NDArray[np.float64]) -> Statistics:
    """Mean, recall (the share above 0.5) and decay of one object's values per frame (n,), n >= 1.

    Decay is the mean of the first quarter less that of the last. The quarters overlap by one frame, as in the
    official code; that code casts their limits to 8 bits, so its decay is wrong above 255 frames, where this one
    is right.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        raise ValueError("no frames")
    limits = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[limits[0] : limits[1] + 1], values[limits[3] : limits[4] + 1]
    return Statistics(
        float(values.mean()), float((values > RECALL_THRESHOLD).mean()), float(first.mean() - last.mean())
    )
