"""What a session gives: mask tubes, labels and probabilities made one frame at a time, and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyenet.inference.checkpointed import CheckpointedResult, Round
from dyenet.inference.config import MergingConfig
from dyenet.inference.iterative import IterativeResult
from dyenet.inference.merging import merge_labels, merge_probabilities
from dyenet.inference.stopwatch import Stopwatch
from dyenet.structures import MaskPatches, MaskTube, StartingPoint, Template


class SegmentationResult:
    """``tubes`` by object id, their boxes in pixels of the working frames, and ``report``, which is JSON-able.

    ``size`` and ``working_size`` are (H, W) of the video and of the frames that were worked on.
    ``starting_points`` are those that were retrieved, by round; their boxes, too, are in working frames.
    ``checkpointed_rounds`` are those of VS-ReID's schedule (``visualization.rounds`` draws them), none of DyeNet's.
    """

    def __init__(
        self,
        tubes: Mapping[int, MaskTube],
        report: dict[str, Any],
        *,
        size: tuple[int, int],
        working_size: tuple[int, int],
        merging: MergingConfig,
        given: Mapping[tuple[int, int], NDArray[np.bool_]],
        stopwatch: Stopwatch,
        starting_points: Sequence[Sequence[StartingPoint]] = (),
        checkpointed_rounds: Sequence[Round] = (),
    ) -> None:
        self.tubes, self.report, self.starting_points = tubes, report, starting_points
        self.checkpointed_rounds = checkpointed_rounds
        self.size, self.working_size = size, working_size
        self._merging, self._given, self._stopwatch = merging, given, stopwatch

    def labels(self, frame: int) -> NDArray[np.uint8]:
        """(H, W) uint8 of one frame at the video's size: object ids, 0 background. Given masks stay as given."""
        with self._stopwatch("merge"):
            patches = self.patches(frame)
            given = {i: mask for (f, i), mask in self._given.items() if f == frame}
            free = {i: p for i, p in patches.items() if i not in given}
            labels = merge_labels(free, self.size, self._merging, working_size=self.working_size).numpy()
            for object_id, mask in given.items():
                labels[mask] = object_id
            return labels

    def probabilities(self, frame: int) -> dict[int, NDArray[np.float32]]:
        """(H, W) float32 by object id, 0 the background, as the network has them; they sum to 1 in every pixel."""
        maps = merge_probabilities(self.patches(frame), self.size, working_size=self.working_size)
        return {object_id: values.numpy() for object_id, values in maps.items()}

    def patches(self, frame: int) -> dict[int, MaskPatches]:
        """The tubes' masks in one frame, by object id."""
        return {i: tube.patches[frame] for i, tube in self.tubes.items() if frame in tube.patches}


def iterative_report(result: IterativeResult) -> dict[str, Any]:
    """The rounds of DyeNet's schedule, its templates, and which tracklets each tube was linked from."""
    rounds = [
        {
            "number": number,
            "starting_points": [
                {"object": p.object_id, "frame": p.frame, "similarity": round(p.similarity, 4)}
                for p in done.retrieved
            ],
            "propagated": len(done.propagated),
            "templates_added": len(done.added),
        }
        for number, done in enumerate(result.rounds, start=1)
    ]
    return {"rounds": rounds, "templates": _templates(result.templates), "links": links(result.tubes)}


def checkpointed_report(result: CheckpointedResult, templates: Sequence[Template]) -> dict[str, Any]:
    """The rounds of VS-ReID's schedule, one per starting point, its templates, and each tube's tracklets."""
    rounds = [
        {
            "number": done.number,
            "object": done.object_id,
            "frame": done.frame,
            "similarity": round(done.similarity, 4),
            "frames_written": len(done.overwritten),
        }
        for done in result.rounds
    ]
    return {"rounds": rounds, "templates": _templates(templates), "links": links(result.tubes)}


def links(tubes: Mapping[int, MaskTube]) -> dict[str, list[dict[str, Any]]]:
    """By object id, a string for JSON: the start and extent of every tracklet in its tube."""
    return {
        str(object_id): [
            {
                "start": tracklet.start.frame,
                "first": min(tracklet.patches),
                "last": max(tracklet.patches),
                "similarity": round(tracklet.similarity, 4),
                "given": tracklet.start.given,
            }
            for tracklet in tube.tracklets
        ]
        for object_id, tube in tubes.items()
    }


def _templates(templates: Sequence[Template]) -> list[dict[str, Any]]:
    return [
        {"object": t.object_id, "frame": t.frame, "given": t.given, "similarity": round(t.similarity, 4)}
        for t in templates
    ]
