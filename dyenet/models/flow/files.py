"""Flow that is there already: Middlebury .flo files as VS-ReID lays them out, and none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyenet.errors import InputError
from dyenet.files import atomic_path
from dyenet.registry import FLOWS
from dyenet.structures import Video

HEADER = b"PIEH"


def read_flow(path: str | Path) -> NDArray[np.float32]:
    """A .flo file -> (2, H, W) float32. Raises InputError if it is missing, cut short or no .flo file.

    (mmcv's reader has the same format but says nothing about a file that was cut short.)
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the flow file {path} ({error.strerror})") from error
    if content[:4] != HEADER or len(content) < 12:
        raise InputError(f"{path} is no .flo file: it does not begin with 'PIEH'")
    width, height = (int(n) for n in np.frombuffer(content, "<i4", 2, offset=4))
    if width <= 0 or height <= 0 or len(content) != 12 + 8 * width * height:
        raise InputError(f"{path} says {width}x{height} but has {len(content)} bytes; write it again")
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2)
    return np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)


def write_flow(path: str | Path, flow: NDArray[np.float32]) -> None:
    """Writes ``flow`` (2, H, W) as a .flo file, atomically."""
    height, width = flow.shape[1:]
    head = HEADER + np.array([width, height], "<i4").tobytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(head + flow.transpose(1, 2, 0).astype("<f4").tobytes())


@FLOWS.register_module()
class FlowFiles:
    """Flow of adjacent frames from a folder, named by the frame on whose grid it lies (VS-ReID's layout).

    ``<root>/<name of frame i>.flo`` is F_{i->i+1} and ``<root>/<name of frame i>.rflo`` is F_{i->i-1}.
    """

    def __init__(self, *, root: str) -> None:
        self.root = Path(root)

    def estimate(self, video: Video, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32. Raises InputError for frames that are not adjacent, a file that
        is missing or damaged, and a size that is not the video's."""
        if abs(target - source) != 1:
            raise InputError(
                f"flow files hold adjacent frames only, and the flow from frame {source} to {target} was asked for"
            )
        path = self.root / f"{video.names[source]}{'.flo' if target > source else '.rflo'}"
        flow = read_flow(path)
        if flow.shape[1:] != tuple(video.size):
            raise InputError(
                f"{path} is {flow.shape[2]}x{flow.shape[1]} but the frames are {video.size[1]}x{video.size[0]}; "
                "compute the flow on frames of this size"
            )
        return torch.from_numpy(flow)


@FLOWS.register_module()
class NoFlow:
    """Zero flow: masks start where they were."""

    def __init__(self) -> None:
        pass

    def estimate(self, video: Video, source: int, target: int) -> Tensor:
        """(2, H, W) float32 of zeros."""
        return torch.zeros(2, *video.size)
