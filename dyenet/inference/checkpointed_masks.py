"""The masks and checkpoints that VS-ReID's rounds read and overwrite: P_(i,k) and c_(i,k) of Algorithm 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyenet.inference.checkpointed_config import CheckpointedConfig
from dyenet.structures import MaskPatches, MaskTube, StartingPoint, cell_centres

NEVER = -(10**9)
"""The checkpoint of a frame that no pass has reached: farther than any starting point."""


class CheckpointedMasks:
    """One tube and one row of checkpoints per object; ``object_ids`` in ascending order.

    ``checkpoints[k][i]`` is the frame of the starting point from which P_(i,k) was made, or ``NEVER``.
    """

    def __init__(self, num_frames: int, given: Sequence[StartingPoint], config: CheckpointedConfig) -> None:
        self.num_frames = num_frames
        self.config = config
        self.object_ids = sorted({point.object_id for point in given})
        self.tubes = {k: MaskTube(k) for k in self.object_ids}
        self.checkpoints: dict[int, NDArray[np.int64]] = {
            k: np.full(num_frames, NEVER, np.int64) for k in self.object_ids
        }
        self.given_frames: dict[int, list[int]] = {k: [] for k in self.object_ids}
        self._boxes: dict[int, Tensor] = {}
        for point in given:
            self.given_frames[point.object_id].append(point.frame)
            self.write(point.object_id, point.frame, point.patch, point.frame)

    def write(self, object_id: int, frame: int, patch: MaskPatches, origin: int | None) -> bool:
        """P_(frame,k) <- ``patch`` (length 1) and, unless ``origin`` is None, c_(frame,k) <- ``origin``.

        The tracklet that had the frame loses it, so that no mask is kept twice; its own start it keeps. A mask without
        area takes the place of none: a track that is lost says nothing of what was found before. Returns whether the
        mask was written.
        """
        if origin is not None:
            self.checkpoints[object_id][frame] = origin
        if frame in self.tubes[object_id].patches and patch.areas().item() == 0:
            return False
        for tracklet in self.tubes[object_id].tracklets:
            if frame != tracklet.start.frame:
                tracklet.patches.pop(frame, None)
        self._put(object_id, frame, patch)
        return True

    def revise(self, object_id: int, frame: int, patch: MaskPatches) -> None:
        """P_(frame,k) <- ``patch``, which still comes from the same starting point."""
        for tracklet in self.tubes[object_id].tracklets:
            if frame in tracklet.patches:
                tracklet.patches[frame] = patch
        self._put(object_id, frame, patch)

    def _put(self, object_id: int, frame: int, patch: MaskPatches) -> None:
        if patch.probabilities.any():
            self.tubes[object_id].patches[frame] = patch
        else:
            self.tubes[object_id].patches.pop(frame, None)
        self._boxes.pop(frame, None)

    def may_write(self, object_id: int, frame: int, origin: int) -> bool:
        """|c_(i,k) - i| > |origin - i| (lines 24 and 28): the new starting point is closer than the old one."""
        old = abs(int(self.checkpoints[object_id][frame]) - frame)
        new = abs(origin - frame)
        return old > new or (old == new and self.config.ties == "overwrite")

    def fill_unreached(self) -> None:
        """Frames no pass reached belong to the nearest given frame, the earlier of two: the paper's c = 1."""
        for object_id, row in self.checkpoints.items():
            given = np.array(sorted(self.given_frames[object_id]))
            frames = np.flatnonzero(row == NEVER)
            row[frames] = given[np.abs(frames[:, None] - given).argmin(1)]

    def visible(self, object_id: int, frame: int) -> MaskPatches | None:
        """The mask by ``config.presence``, its cells at least 0.5 where the object is; None where it has none."""
        patch = self.tubes[object_id].patches.get(frame)
        if patch is None or self.config.presence == "probability":
            return patch
        _, wins = self.joint(object_id, frame)
        return MaskPatches(patch.boxes, wins.to(patch.probabilities.dtype))

    def joint(self, object_id: int, frame: int) -> tuple[Tensor, Tensor]:
        """VS-ReID's merge formula on the cells of one object's patch, which must be there.

        Returns P_k / Z (1, s, s) and where k is the most probable label (1, s, s) bool (the background and then
        the lower id win ties, as argmax has it).
        """
        own = self.tubes[object_id].patches[frame]
        probability = own.probabilities.float()
        points = cell_centres(own.boxes, own.size)
        background, total, wins = (
            1 - probability,
            probability.clone(),
            torch.ones_like(probability, dtype=torch.bool),
        )
        for other in self.object_ids:
            patch = self.tubes[other].patches.get(frame)
            if other == object_id or patch is None:
                continue
            rival = patch.sample(points)
            background = background * (1 - rival)
            total += rival
            wins &= probability > rival if other < object_id else probability >= rival
        wins &= probability > background
        return probability / (background + total), wins

    def area(self, object_id: int, frame: int) -> float:
        """Pixels of the visible mask."""
        mask = self.visible(object_id, frame)
        return 0.0 if mask is None else float(mask.areas())

    def boxes(self, frame: int) -> Tensor:
        """(K, 4), in the order of ``object_ids``: the tight boxes of the visible masks, zeros for absent ones."""
        if frame not in self._boxes:
            rows = torch.zeros(len(self.object_ids), 4)
            for row, object_id in enumerate(self.object_ids):
                mask = self.visible(object_id, frame)
                if mask is not None:
                    rows[row] = mask.tight_boxes()[0].float().cpu()
            self._boxes[frame] = rows
        return self._boxes[frame]

    def present(self, frame: int) -> Tensor:
        """(K,) bool: the object's box is larger than a pixel."""
        boxes = self.boxes(frame)
        return (boxes[:, 2:] - boxes[:, :2]).prod(1) > 1

    def erase_others(self, object_id: int, frame: int) -> None:
        """Sets the other objects' probabilities to 0 where this one's is above 0.5; given masks stay."""
        mask = self.tubes[object_id].patches.get(frame)
        for other in self.object_ids:
            patch = self.tubes[other].patches.get(frame)
            if mask is None or patch is None or other == object_id or frame in self.given_frames[other]:
                continue
            covered = mask.sample(cell_centres(patch.boxes, patch.size)) > 0.5
            left = patch.probabilities.masked_fill(covered, 0)
            self.revise(other, frame, MaskPatches(patch.boxes, left))
