"""The feature store: the trunk runs once per frame, and what it gave is kept within a bound (Sec. 3)."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dyenet.errors import ConfigError
from dyenet.inference.stopwatch import Stopwatch
from dyenet.structures import FrameFeatures, Video


class FeatureStore:
    """Features of the frames of one video, by frame index.

    They are kept as ``dtype`` on the network's device, the latest used in memory up to ``memory_bytes``, the
    others in a temporary folder (below ``spill_dir``) that ``close`` removes; they are given in the network's
    dtype. What is given is what was kept, so results do not depend on the bound. ``trunk_runs`` counts frames.
    """

    def __init__(
        self,
        network: nn.Module,
        video: Video,
        *,
        memory_bytes: int,
        dtype: torch.dtype,
        spill_dir: str | Path | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._network, self._video = network, video
        if spill_dir is not None and not Path(spill_dir).is_dir():
            raise ConfigError(f"inference.features.spill_dir is {spill_dir}, which is no folder")
        self._memory_bytes, self._dtype, self._spill_dir = memory_bytes, dtype, spill_dir
        parameter = next(network.parameters())
        self._device, self._compute_dtype = parameter.device, parameter.dtype
        self._memory: OrderedDict[int, FrameFeatures] = OrderedDict()
        self._spilled: set[int] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._shapes: tuple[torch.Size, torch.Size | None] | None = None
        self._stopwatch = stopwatch or Stopwatch()
        self.bytes_in_memory = 0
        self.trunk_runs = 0

    def get(self, frame: int) -> FrameFeatures:
        """The features of one frame, a batch of 1."""
        if frame in self._memory:
            self._memory.move_to_end(frame)
            kept = self._memory[frame]
        else:
            kept = self._read(frame) if frame in self._spilled else self._compute(frame)
            self._keep(frame, kept)
        return kept.to(dtype=self._compute_dtype)

    def batch(self, frames: Sequence[int]) -> FrameFeatures:
        """The features of several frames, in their order."""
        return FrameFeatures.cat([self.get(frame) for frame in frames])

    def close(self) -> None:
        """Forgets everything and removes the files."""
        self._memory.clear()
        self._spilled.clear()
        self.bytes_in_memory = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @torch.no_grad()
    def _compute(self, frame: int) -> FrameFeatures:
        with self._stopwatch("trunk"):
            image = torch.from_numpy(self._video[frame]).to(self._device).permute(2, 0, 1)[None]
            features = self._network.extract_features(image)  # type: ignore[operator]
            self.trunk_runs += 1
            kept = features.to(dtype=self._dtype)
            self._shapes = (kept.coarse.shape, None if kept.fine is None else kept.fine.shape)
            return kept

    def _keep(self, frame: int, features: FrameFeatures) -> None:
        self._memory[frame] = features
        self.bytes_in_memory += _bytes(features)
        while self.bytes_in_memory > self._memory_bytes:
            oldest, dropped = self._memory.popitem(last=False)
            self.bytes_in_memory -= _bytes(dropped)
            if oldest not in self._spilled:
                self._write(oldest, dropped)

    def _file(self, frame: int) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dyenet-features-", dir=self._spill_dir)
        return Path(self._folder.name) / f"{frame}.raw"

    def _write(self, frame: int, features: FrameFeatures) -> None:
        with self._file(frame).open("wb") as file:
            for part in (features.coarse, features.fine):
                if part is not None:
                    file.write(part.contiguous().cpu().view(torch.uint8).numpy().data)
        self._spilled.add(frame)

    def _read(self, frame: int) -> FrameFeatures:
        assert self._shapes is not None
        data = torch.empty(os.path.getsize(self._file(frame)), dtype=torch.uint8)
        with self._file(frame).open("rb") as file:
            file.readinto(data.numpy().data)
        coarse_shape, fine_shape = self._shapes
        values = data.view(self._dtype)
        coarse: Tensor = values[: coarse_shape.numel()].view(coarse_shape)
        fine = None if fine_shape is None else values[coarse_shape.numel() :].view(fine_shape)
        return FrameFeatures(coarse, fine, self._video.size).to(self._device)


def _bytes(features: FrameFeatures) -> int:
    return features.coarse.nbytes + (0 if features.fine is None else features.fine.nbytes)
