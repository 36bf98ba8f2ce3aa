"""A propagator and a retriever made from exact masks, to test the schedules without a network.

They look one step ahead at most: a mask goes on only to an object that it overlaps in the next frame, and is
lost where there is none; identities are never read from the truth while propagating.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from dyenet.structures import (
    Candidates,
    MaskPatches,
    PropagationState,
    StartingPoint,
    Template,
    enlarge_boxes,
    mask_boxes,
)

SIZE = 56
DIM = 64


def truth_patch(truth: np.ndarray, frame: int, object_id: int, *, enlarge: float = 0.15) -> MaskPatches:
    """The true mask of an object as a patch of length 1; probabilities 0 where it is not seen."""
    mask = torch.from_numpy(truth[frame] == object_id)[None]
    box = mask_boxes(mask)
    if not mask.any():
        return MaskPatches(box, torch.zeros(1, SIZE, SIZE))
    return MaskPatches.from_maps(mask.float(), enlarge_boxes(box, enlarge, truth.shape[1:]), SIZE)


def given_points(truth: np.ndarray, frame: int = 0) -> list[StartingPoint]:
    """The masks a user gives: every object of one frame."""
    ids = [int(i) for i in np.unique(truth[frame]) if i]
    return [StartingPoint(i, frame, truth_patch(truth, frame, i), given=True) for i in ids]


class OraclePropagator:
    """``truth`` (T, H, W) uint8. ``steps`` counts the rows of all steps, ``calls`` the steps."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth, self.steps, self.calls = truth, 0, 0

    def begin(self, starting_points: Sequence[StartingPoint]) -> PropagationState:
        return PropagationState(
            [p.frame for p in starting_points],
            [p.object_id for p in starting_points],
            MaskPatches.cat([p.patch for p in starting_points]),
        )

    def step(self, state: PropagationState, targets: Sequence[int]) -> PropagationState:
        assert all(abs(t - f) == 1 for t, f in zip(targets, state.frames, strict=True))
        self.steps += len(targets)
        self.calls += 1
        height, width = self.truth.shape[1:]
        patches = []
        for row, target in enumerate(targets):
            previous = state.patches[row].paste(height, width)[0].numpy() >= 0.5
            counts = np.bincount(self.truth[target][previous], minlength=256)[1:]
            found = int(counts.argmax()) + 1 if counts.any() else 0
            patches.append(truth_patch(self.truth, target, found) if found else MaskPatches.empty(SIZE, 1))
        return PropagationState(list(targets), list(state.object_ids), MaskPatches.cat(patches))

    def recover(self, frame: int, boxes: Tensor, templates: Sequence[Template]) -> MaskPatches:
        assert len(boxes) == len(templates)
        maps = []
        for x0, y0, x1, y1 in boxes.round().int().tolist():
            window = self.truth[frame][y0:y1, x0:x1]
            main = int(np.bincount(window.ravel(), minlength=256)[1:].argmax()) + 1
            maps.append(torch.from_numpy(self.truth[frame] == main).float())
        return MaskPatches.from_maps(torch.stack(maps), boxes, SIZE)


class OracleRetriever:
    """The boxes of the true objects; object i looks like a unit vector that turns by ``turn`` radians a frame.

    Similarity between two looks of one object is the cosine of the angle between them, between objects 0.
    ``calls`` counts how often each frame's candidates were asked for.
    """

    def __init__(self, truth: np.ndarray, *, turn: float = 0.0) -> None:
        self.truth, self.turn = truth, turn
        self.calls: dict[int, int] = {}

    def look(self, frame: int, object_id: int) -> Tensor:
        vector = torch.zeros(DIM)
        if object_id:
            vector[2 * object_id] = np.cos(self.turn * frame)
            vector[2 * object_id + 1] = np.sin(self.turn * frame)
        else:
            vector[0] = 1.0
        return vector

    def candidates(self, frame: int) -> Candidates:
        self.calls[frame] = self.calls.get(frame, 0) + 1
        boxes, ids = self._boxes(frame)
        looks = torch.stack([self.look(frame, i) for i in ids]) if ids else torch.zeros(0, DIM)
        return Candidates(boxes, torch.full((len(ids),), 0.9), looks)

    def embed(self, frame: int, boxes: Tensor, masks: MaskPatches | None = None) -> Tensor:
        true_boxes, ids = self._boxes(frame)
        if not ids:
            return torch.stack([self.look(frame, 0)] * len(boxes))
        best, index = box_iou(boxes.float(), true_boxes).max(dim=1)
        return torch.stack(
            [self.look(frame, ids[i] if v > 0.4 else 0) for v, i in zip(best, index, strict=True)]
        )

    def _boxes(self, frame: int) -> tuple[Tensor, list[int]]:
        ids = [int(i) for i in np.unique(self.truth[frame]) if i]
        if not ids:
            return torch.zeros(0, 4), ids
        masks = torch.stack([torch.from_numpy(self.truth[frame] == i) for i in ids])
        return mask_boxes(masks), ids


def crossing_truth(frames: int = 24, height: int = 48, width: int = 96) -> np.ndarray:
    """Object 1 crosses the picture behind a wall and is unseen for several frames; object 2 stands still."""
    truth = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        x = 2 + 3 * t
        truth[t, 8:24, x : x + 14] = 1
        truth[t, 30:42, 70:90] = 2
    truth[:, :28, 34:58] = 0  # the wall
    return truth
