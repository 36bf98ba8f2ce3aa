"""How good the retrieved starting points are: their precision and recall (DyeNet Table 2; reading D26)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dyenet.data.masks import IndexMask
from dyenet.structures import MaskPatches, StartingPoint

CORRECT_IOU = 0.5
"""From which IoU with the truth a starting point's mask counts as correct."""


@dataclass(frozen=True)
class JudgedPoint:
    """A starting point and the IoU of its mask with the true mask of its object in its frame."""

    object_id: int
    frame: int
    similarity: float
    iou: float

    @property
    def correct(self) -> bool:
        return self.iou >= CORRECT_IOU


@dataclass(frozen=True)
class RetrievalCounts:
    """Summed over videos: ``found`` starting points, ``correct`` ones, ``recalled`` of ``wanted`` true masks."""

    found: int = 0
    correct: int = 0
    recalled: int = 0
    wanted: int = 0

    def __add__(self, other: RetrievalCounts) -> RetrievalCounts:
        return RetrievalCounts(
            self.found + other.found,
            self.correct + other.correct,
            self.recalled + other.recalled,
            self.wanted + other.wanted,
        )

    @property
    def precision(self) -> float | None:
        """None if nothing was found."""
        return self.correct / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """None if there was nothing to find."""
        return self.recalled / self.wanted if self.wanted else None


def judge(
    points: Iterable[StartingPoint],
    truth_of: Callable[[int], IndexMask | None],
    working_size: Sequence[int],
) -> list[JudgedPoint]:
    """``points``, whose boxes are in frames of ``working_size`` (H, W), against the index masks ``truth_of`` frames.

    Points of frames without truth (None) are left out.
    """
    judged = []
    for point in points:
        truth = truth_of(point.frame)
        if truth is None:
            continue
        iou = _iou(point.patch, truth == point.object_id, working_size)
        judged.append(JudgedPoint(point.object_id, point.frame, point.similarity, iou))
    return judged


def count(points: Collection[JudgedPoint], truths: Collection[tuple[int, int]]) -> RetrievalCounts:
    """``truths``: (object id, frame) of every true mask that is not empty and was not given."""
    correct = [p for p in points if p.correct]
    recalled = {(p.object_id, p.frame) for p in correct} & set(truths)
    return RetrievalCounts(len(points), len(correct), len(recalled), len(truths))


def _iou(patch: MaskPatches, truth: np.ndarray, working_size: Sequence[int]) -> float:
    """Of a patch of length 1, pasted at the size of ``truth`` (H, W) boolean."""
    height, width = truth.shape
    scale = torch.tensor([width / working_size[1], height / working_size[0]] * 2)
    full = MaskPatches(patch.boxes.float() * scale, patch.probabilities.float())
    window, values = full.paste_window(0, height, width)
    mask = values.numpy() >= 0.5
    intersection = np.count_nonzero(mask & truth[window])
    union = np.count_nonzero(mask) + np.count_nonzero(truth) - intersection
    return intersection / union if union else 0.0
