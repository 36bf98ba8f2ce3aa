"""The feature store: the trunk runs once per frame, and what it gave is kept within a bound (Sec. 3)."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from dyenet.errors import ConfigError, InputError
from dyenet.files import FULL_DISK
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
        self._like: FrameFeatures | None = None  # without memory: the shapes of what is in the files
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
            if self._like is None:
                self._like = kept.to("meta")
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
        try:
            with self._file(frame).open("wb") as file:
                for part in features.parts():
                    file.write(part.contiguous().cpu().view(torch.uint8).numpy().data)
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            folder = self._spill_dir or tempfile.gettempdir()
            raise InputError(
                f"no space left in {folder}, where features of the video are put; free some, or name another folder by "
                "--set inference.features.spill_dir=FOLDER"
            ) from error
        self._spilled.add(frame)

    def _read(self, frame: int) -> FrameFeatures:
        assert self._like is not None
        data = torch.empty(os.path.getsize(self._file(frame)), dtype=torch.uint8)
        with self._file(frame).open("rb") as file:
            file.readinto(data.numpy().data)
        shapes = [part.shape for part in self._like.parts()]
        values = data.view(self._dtype).split([shape.numel() for shape in shapes])
        return self._like.of([v.view(s) for v, s in zip(values, shapes, strict=True)]).to(self._device)


def _bytes(features: FrameFeatures) -> int:
    return sum(part.nbytes for part in features.parts())
