"""What the program asks for flow, and the cache in front of every estimator.

F_{j->i} lies on the grid of frame j, in pixels, u right and v down: pixel x of frame j shows what frame i shows
at x + F_{j->i}(x), so a map of frame i is warped onto frame j by sampling it there (so do FlowNet2 and PWC-Net).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from torch import Tensor

from dyenet.errors import ConfigError
from dyenet.models.flow.displacement import flow_of_object
from dyenet.registry import FLOWS
from dyenet.structures import MaskPatches, Video

FLOAT16_MAX = 65504.0
KEPT_FRAMES = 16
"""Frames that are kept to search objects in: tracklets that go on together come by the same ones."""


class FlowSource(Protocol):
    """The flow of one video."""

    def get(self, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32 on the grid of frame ``source``, in pixels, on the CPU."""
        ...

    def of_objects(
        self, source: int, target: int, patches: MaskPatches, margin: float
    ) -> list[Tensor | None]:
        """The same for each object that ``patches`` show in frame ``target``; see ``flow_of_object``."""
        ...


class FlowEstimator(Protocol):
    """Where the flow of a pair of frames comes from; holds nothing of a video. Registered in ``FLOWS``.

    With a ``between(source_image, target_image)``, as ``DISFlow`` has, parts of frames can be asked about as well.
    """

    def estimate(self, video: Video, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32 on the grid of frame ``source``, in pixels, on the CPU."""
        ...


class CachedFlow:
    """A ``FlowSource``: asks the estimator once per (from, to) and keeps the latest used within ``memory_bytes``.

    Kept as float16, whose step is 0.06 px at displacements of 64 to 128 px. One flow larger than the bound is
    given but not kept.
    """

    def __init__(self, video: Video, estimator: FlowEstimator, *, memory_bytes: int = 256 * 2**20) -> None:
        self.video = video
        self.estimator = estimator
        self.memory_bytes = memory_bytes
        self._frame = lru_cache(maxsize=KEPT_FRAMES)(video.__getitem__)
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32; IndexError for a frame that the video lacks."""
        for index in (source, target):
            if not 0 <= index < len(self.video):
                raise IndexError(f"frame {index} of a video with frames 0 to {len(self.video) - 1}")
        key = (source, target)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key].float()
        flow = self.estimator.estimate(self.video, source, target)
        half = flow.clamp(-FLOAT16_MAX, FLOAT16_MAX).half()
        if half.nbytes <= self.memory_bytes:
            self._kept[key] = half
            self._bytes += half.nbytes
        while self._bytes > self.memory_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return half.float()  # the same numbers the first time and later

    def of_objects(
        self, source: int, target: int, patches: MaskPatches, margin: float
    ) -> list[Tensor | None]:
        """``flow_of_object`` with each mask that ``patches`` have in frame ``target``; not kept. None for all of them
        where the estimator cannot be asked about parts of frames: it has no ``between(now, before)``.
        """
        between = getattr(self.estimator, "between", None)
        if between is None:
            return [None] * len(patches)
        flow = self.get(source, target)
        now, before = self._frame(source), self._frame(target)
        found = []
        for row in range(len(patches)):
            window, values = patches.paste_window(row, flow.shape[1], flow.shape[2])
            found.append(
                flow_of_object(now, before, window, values.numpy() >= 0.5, flow, between, margin=margin)
            )
        return found

    @property
    def bytes_kept(self) -> int:
        """Bytes of the flows kept now; never more than ``memory_bytes`` after a ``get``."""
        return self._bytes


def build_flow(config: Mapping[str, Any], video: Video) -> FlowSource:
    """The flow of ``video`` by a config block: ``type`` (a name in ``FLOWS``), its arguments, ``memory_bytes``.

    Raises ConfigError for an unknown type or argument.
    """
    block = dict(config)
    cache = {"memory_bytes": block.pop("memory_bytes")} if "memory_bytes" in block else {}
    name = block.pop("type", None)
    cls = FLOWS.get(name) if isinstance(name, str) else name
    if cls is None:
        known = ", ".join(sorted(FLOWS.module_dict))
        raise ConfigError(f"flow.type is {name!r}; it may be {known}")
    try:
        estimator = cls(**block)
    except TypeError as error:
        raise ConfigError(f"flow: {name} cannot be built from {block} ({error})") from error
    return CachedFlow(video, estimator, **cache)
