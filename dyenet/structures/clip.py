"""A training clip: what data sets give and training takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Clip:
    """T frames in the order in which they are propagated (a reversed clip is reversed already).

    ``frames`` (T, 3, H, W) uint8 RGB; ``masks`` (T, H, W) uint8, 0 background, 1..K the clip's objects, 255
    void; ``flow`` (T-1, 2, H, W) float16 in pixels, u right, v down: ``flow[t]`` is F_{t+1 -> t}, on the grid
    of frame t+1; ``identities`` K ints: the identity of object k at [k-1] for the re-identification loss,
    -1 where unlabelled; ``sources``: what files or seeds the frames came from, for error messages.
    """

    frames: Tensor
    masks: Tensor
    flow: Tensor
    identities: list[int]
    sources: list[str] = field(default_factory=list)

    @property
    def num_objects(self) -> int:
        return len(self.identities)
