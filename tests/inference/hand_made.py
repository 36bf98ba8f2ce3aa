"""Hand-made patches and tracklets: square masks at chosen places."""

from __future__ import annotations

import torch

from dyenet.structures import MaskPatches, StartingPoint, Tracklet

SIZE = 16


def square(x: float, y: float = 0.0, side: float = 16.0, probability: float = 1.0) -> MaskPatches:
    """A mask that fills the box (x, y, x + side, y + side)."""
    return MaskPatches(
        torch.tensor([[x, y, x + side, y + side]]), torch.full((1, SIZE, SIZE), float(probability))
    )


def nothing() -> MaskPatches:
    return MaskPatches(torch.zeros(1, 4), torch.zeros(1, SIZE, SIZE))


def track(
    object_id: int, start: int, masks: dict[int, MaskPatches], similarity: float = 1.0, **kw
) -> Tracklet:
    """A tracklet; ``given`` where its similarity is 1 unless said otherwise."""
    kw.setdefault("given", similarity == 1.0)
    return Tracklet(StartingPoint(object_id, start, masks[start], similarity, **kw), masks)


def row(object_id: int, start: int, frames: range, x: float, similarity: float = 1.0, **kw) -> Tracklet:
    """A tracklet that stands still at ``x``."""
    return track(object_id, start, {f: square(x) for f in frames}, similarity, **kw)
