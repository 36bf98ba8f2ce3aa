"""A video as the program sees it: a sequence of RGB frames read one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dyenet.errors import InputError

Frame = NDArray[np.uint8]
"""One frame: RGB, uint8, (H, W, 3)."""


class Video(Protocol):
    """Frames of one size, read by index, in any order; nothing is assumed to stay in memory.

    Attributes: ``names``, one per frame (file stem of its mask), ``size`` = (height, width) in pixels and
    ``fps``, frames per second (only for output videos).
    """

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def fps(self) -> float: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


class ArrayVideo:
    """Frames that are already in memory, as a (T, H, W, 3) uint8 RGB array or a list of (H, W, 3) arrays."""

    def __init__(
        self, frames: Sequence[Frame] | np.ndarray, *, names: Sequence[str] | None = None, fps: float = 24.0
    ) -> None:
        if len(frames) == 0:
            raise InputError("the video has no frames")
        for index, frame in enumerate(frames):
            if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
                raise InputError(
                    f"frame {index} is {frame.dtype} of shape {frame.shape}; frames must be uint8 RGB, (H, W, 3)"
                )
            if frame.shape != frames[0].shape:
                raise InputError(
                    f"frame {index} is {frame.shape[1]}x{frame.shape[0]}, but frame 0 is "
                    f"{frames[0].shape[1]}x{frames[0].shape[0]}; all frames must have one size"
                )
        self._frames = frames
        self.names: Sequence[str] = (
            list(names) if names is not None else [f"{i:05d}" for i in range(len(frames))]
        )
        if len(self.names) != len(frames):
            raise InputError(f"{len(self.names)} names were given for {len(frames)} frames")
        self.size: tuple[int, int] = (frames[0].shape[0], frames[0].shape[1])
        self.fps = fps

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        return np.ascontiguousarray(self._frames[index])  # a frame may be a view, such as BGR turned round
