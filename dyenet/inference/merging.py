"""Merging: the tubes' masks of a frame become one label per pixel (VS-ReID Sec. 3.3, the formula for M_i)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dyenet.inference.config import MergingConfig
from dyenet.structures import MaskPatches


def merge_labels(
    patches: Mapping[int, MaskPatches],
    size: tuple[int, int],
    config: MergingConfig,
    *,
    working_size: tuple[int, int] | None = None,
) -> Tensor:
    """(H, W) uint8 object ids, 0 background, of one frame: ``patches`` by object id, each of length 1.

    ``size`` is the (H, W) of the output, ``working_size`` that of the frame in whose pixels the boxes are, if it
    is another. Of equally probable objects the lower id wins, and the background before any (arg max, at a threshold
    of 0.5).
    """
    labels = torch.zeros(size, dtype=torch.uint8)
    best = torch.zeros(size)  # of any object
    background = torch.ones(size)  # prod over j of (1 - P_j)
    for object_id, patch in sorted(patches.items()):
        window, values = _scaled(patch, size, working_size).paste_window(0, *size)
        values = values.clamp(0, 1)
        better = values > best[window]
        labels[window] = torch.where(better, object_id, labels[window].int()).to(torch.uint8)
        best[window] = torch.maximum(best[window], values)
        background[window] *= 1 - values
    if config.method == "vsreid":
        floor = background * (config.threshold / (1 - config.threshold))
    else:
        floor = torch.full_like(best, config.threshold)
    labels[best <= floor] = 0  # the common factor 1/Z changes no arg max
    return labels


def merge_probabilities(
    patches: Mapping[int, MaskPatches], size: tuple[int, int], *, working_size: tuple[int, int] | None = None
) -> dict[int, Tensor]:
    """(H, W) float32 of every object and of the background (id 0), normalised by Z: they sum to 1 in a pixel."""
    maps = {i: _scaled(p, size, working_size).paste(*size)[0].clamp(0, 1) for i, p in patches.items()}
    background = torch.ones(size)
    for values in maps.values():
        background = background * (1 - values)
    total = background + sum(maps.values(), torch.zeros(size))
    return {0: background / total, **{i: values / total for i, values in sorted(maps.items())}}


def _scaled(patch: MaskPatches, size: tuple[int, int], working_size: tuple[int, int] | None) -> MaskPatches:
    patch = patch.to("cpu")
    if working_size is None or working_size == size:
        return patch
    (height, width), (rows, columns) = size, working_size
    return MaskPatches(patch.boxes * torch.tensor([width / columns, height / rows] * 2), patch.probabilities)
