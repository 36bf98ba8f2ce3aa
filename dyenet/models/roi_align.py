"""RoIAlign of the trunk's maps and of frames; on a CPU as two matrix products per RoI, since torchvision's kernel is
slow there: on one core, for 64 channels and 56×56 cells, half as fast.
"""

from __future__ import annotations

import math

import torch
import torchvision
from torch import Tensor

SAMPLES = 2
"""Per cell and axis; their mean is the cell."""


def roi_align(maps: Tensor, boxes: Tensor, rows: Tensor, size: int, scale: float) -> Tensor:
    """``maps`` (B, C, H, W), ``boxes`` (R, 4) in the maps of ``rows`` (R,), divided by 1/``scale``
    -> (R, C, size, size); the values of ``torchvision.ops.roi_align(..., aligned=True)``.
    """
    if maps.device.type != "cpu":
        rois = torch.cat([rows[:, None].float(), boxes.float()], dim=1)
        dtype = torch.float32 if maps.dtype == torch.bfloat16 else maps.dtype  # the kernel knows no bf16
        aligned = torchvision.ops.roi_align(
            maps.to(dtype), rois.to(dtype), size, scale, sampling_ratio=SAMPLES, aligned=True
        )
        return aligned.to(maps.dtype)
    if not len(boxes):
        return maps.new_empty(0, maps.shape[1], size, size)
    found = []
    for row, (x1, y1, x2, y2) in zip(rows.tolist(), (boxes.float() * scale - 0.5).tolist(), strict=True):
        left, across = _weights(x1, x2, size, maps.shape[-1])  # (m, w)
        top, down = _weights(y1, y2, size, maps.shape[-2])  # (m, h)
        part = maps[row, :, top : top + down.shape[1], left : left + across.shape[1]]
        found.append(down.to(maps.dtype) @ part @ across.to(maps.dtype).T)  # (C, m, m)
    return torch.stack(found)


def _weights(low: float, high: float, size: int, length: int) -> tuple[int, Tensor]:
    """The first of ``length`` places that count in the ``size`` cells from ``low`` to ``high``, and how much it and
    those after it weigh in each, (m, n).

    The mean of linear interpolations at ``SAMPLES`` places per cell; those more than one place off the map give 0.
    """
    first = min(max(math.floor(low), 0), length - 1)
    last = max(min(math.floor(high) + 1, length - 1), first)
    step = (torch.arange(size * SAMPLES) + 0.5) / (size * SAMPLES)
    places = low + (high - low) * step  # (m S,)
    inside = (places >= -1) & (places <= length)
    index = torch.arange(first, last + 1)
    weights = (1 - (places.clamp(0, length - 1)[:, None] - index).abs()).clamp(min=0) * inside[:, None]
    return first, weights.reshape(size, SAMPLES, -1).mean(dim=1)
