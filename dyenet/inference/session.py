"""One video being segmented: the object that the command line and the Python API work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dyenet.errors import InputError
from dyenet.inference.adapters import Adapters, build_adapters
from dyenet.inference.checkpointed import Round, run_checkpointed
from dyenet.inference.config import InferenceConfig
from dyenet.inference.iterative import run_iterative
from dyenet.inference.loading import Model
from dyenet.inference.result import SegmentationResult, checkpointed_report, iterative_report
from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.templates import initial_templates
from dyenet.structures import KEPT_DTYPE, Frame, MaskPatches, StartingPoint, Video, enlarge_boxes, mask_boxes

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

Mask = NDArray[np.bool_]


class VideoSession:
    """Segments one video; the model keeps nothing of it, so sessions may be interleaved.

    Add masks of one or more frames, then ``run``. Masks may be added and objects removed after a run, and the
    next run reuses the features and candidates of the frames, unless a smaller or larger smallest object changes
    the size that they are worked on, or the first frame with a mask is another one. ``config`` replaces the model's
    inference config.
    """

    def __init__(
        self,
        model: Model,
        video: Video,
        *,
        config: InferenceConfig | None = None,
        progress: Progress | None = None,
    ) -> None:
        if len(video) == 0:
            raise InputError("the video has no frames")
        self.model, self.video = model, video
        self.config = config or model.inference
        self._progress = progress
        self._stopwatch = Stopwatch()
        self._working, self._first = video, 0
        self._given: dict[tuple[int, int], Mask] = {}  # by (frame, object id), in the order of giving
        self._adapters: Adapters | None = None

    def add_masks(self, frame: int, index_mask: NDArray[np.uint8]) -> None:
        """Adds every object of an index mask (H, W), 0 background, 1..255 the object ids.

        Raises InputError if its size is not the frames', the frame does not exist, or it shows no object.
        """
        index_mask = np.asarray(index_mask)
        ids = [int(i) for i in np.unique(index_mask) if i]
        if not ids:
            raise InputError(f"the mask of frame {frame} is empty; it must show at least one object")
        for object_id in ids:
            self.add_object(object_id, index_mask == object_id, frame)

    def add_object(self, object_id: int, mask: Mask, frame: int = 0) -> None:
        """Adds the mask (H, W) of one object in one frame, in place of an earlier one there.

        Where given masks of different objects overlap in a frame, the latest added wins. Raises InputError.
        """
        mask = np.asarray(mask) != 0
        if not 1 <= object_id <= 255:
            raise InputError(f"object id {object_id} is not between 1 and 255")
        if not 0 <= frame < len(self.video):
            raise InputError(f"there is no frame {frame}; the video has frames 0 to {len(self.video) - 1}")
        if mask.shape != tuple(self.video.size):
            raise InputError(
                f"the mask of object {object_id} in frame {frame} has shape {mask.shape}; the frames have "
                f"{tuple(self.video.size)} (height, width)"
            )
        if not mask.any():
            raise InputError(f"the mask of object {object_id} in frame {frame} is empty")
        self._given.pop((frame, object_id), None)
        self._given[frame, object_id] = mask

    def remove_object(self, object_id: int) -> None:
        """Forgets every mask of an object; InputError if there is none."""
        keys = [key for key in self._given if key[1] == object_id]
        if not keys:
            raise InputError(f"there is no object {object_id} to remove")
        for key in keys:
            del self._given[key]

    @torch.no_grad()
    def run(self) -> SegmentationResult:
        """Segments every object in every frame by the configured schedule."""
        if not self._given:
            raise InputError("no masks were given; add the mask of at least one object")
        working = resized(self.video, self.config.max_size, self._zoom())
        first = min(frame for frame, _ in self._given)  # pooled embeddings are whitened by it
        if self._adapters is None or working.size != self._working.size or first != self._first:
            self.close()
            self._working, self._first = working, first
            self._adapters = build_adapters(self.model, self._working, self.config, self._stopwatch)
        adapters = self._adapters
        self._stopwatch.seconds = {}  # the last result keeps its own
        given = [
            StartingPoint(object_id, frame, self._patch(mask, adapters.mask_size), given=True)
            for (frame, object_id), mask in sorted(self._given.items(), key=lambda item: item[0])
        ]
        adapters.propagator.meet(given)
        common: dict[str, Any] = dict(
            given=given,
            num_frames=len(self._working),
            propagator=adapters.propagator,
            retriever=adapters.retriever,
            progress=self._progress,
        )
        checkpointed_rounds: list[Round] = []
        if self.config.schedule == "iterative":
            done = run_iterative(config=self.config, stopwatch=self._stopwatch, **common)
            tubes, report = done.tubes, iterative_report(done)
            points = [r.retrieved for r in done.rounds]
        else:
            with self._stopwatch("retrieve"):
                templates = initial_templates(given, adapters.retriever)
            checkpointed = run_checkpointed(
                templates=templates,
                image_size=self._working.size,
                config=self.config.checkpointed,
                stopwatch=self._stopwatch,
                **common,
            )
            checkpointed_rounds = checkpointed.rounds
            tubes, report = checkpointed.tubes, checkpointed_report(checkpointed, templates)
            points = [[t.start for tube in tubes.values() for t in tube.tracklets if not t.start.given]]
        report = {
            "schedule": self.config.schedule,
            **report,
            "trunk_runs": adapters.trunk_runs(),
            "seconds": self._stopwatch.seconds,
        }
        return SegmentationResult(
            tubes,
            report,
            size=self.video.size,
            working_size=self._working.size,
            merging=self.config.merging,
            given=dict(self._given),
            stopwatch=self._stopwatch,
            starting_points=points,
            checkpointed_rounds=checkpointed_rounds,
        )

    def close(self) -> None:
        """Frees features and removes temporary files; results stay usable."""
        if self._adapters is not None:
            self._adapters.close()
            self._adapters = None

    def __enter__(self) -> VideoSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _zoom(self) -> float:
        """By how much the frames worked on are larger than ``max_size`` says, for the smallest of the given objects."""
        areas: dict[int, int] = {}  # of every object the largest mask
        for (_, object_id), mask in self._given.items():
            areas[object_id] = max(areas.get(object_id, 0), int(mask.sum()))
        width = resized(self.video, self.config.max_size).size[1]
        side = min(areas.values()) ** 0.5 * width / self.video.size[1]
        return min(max(self.config.object_size / side, 1.0), self.config.max_zoom)

    def _patch(self, mask: Mask, size: int) -> MaskPatches:
        """A given mask as a patch in pixels of the working frames, cut from its full size."""
        full = torch.from_numpy(mask)[None]
        boxes = enlarge_boxes(mask_boxes(full), self.config.propagation.box_enlargement, self.video.size)
        patch = MaskPatches.from_maps(full.float(), boxes, size)
        if not patch.areas().item():  # thinner than half a cell everywhere: keep every cell that it touches
            patch = MaskPatches(boxes, (patch.probabilities > 0).float())
        (height, width), (rows, columns) = self.video.size, self._working.size
        scale = torch.tensor([columns / width, rows / height] * 2)
        return MaskPatches(patch.boxes * scale, patch.probabilities.to(KEPT_DTYPE))


class _ResizedVideo:
    """A video whose frames are shrunk or enlarged when read."""

    def __init__(self, video: Video, size: tuple[int, int]) -> None:
        self._video, self.size = video, size
        self.names, self.fps = video.names, video.fps
        self._interpolation = cv2.INTER_AREA if size[0] <= video.size[0] else cv2.INTER_CUBIC

    def __len__(self) -> int:
        return len(self._video)

    def __getitem__(self, index: int) -> Frame:
        image: Iterable[Any] = cv2.resize(
            self._video[index], self.size[::-1], interpolation=self._interpolation
        )
        return np.asarray(image, np.uint8)


def resized(video: Video, max_size: int | None, zoom: float = 1.0) -> Video:
    """The video with frames whose longer side is at most ``max_size`` pixels, or of its own size where that is None,
    times ``zoom``.
    """
    height, width = video.size
    scale = zoom * (1.0 if max_size is None else min(1.0, max_size / max(height, width)))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return video if size == (height, width) else _ResizedVideo(video, size)
