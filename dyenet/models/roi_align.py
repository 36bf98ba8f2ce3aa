"""RoIAlign of the trunk's maps; on a CPU as two matrix products, since torchvision's kernel there is slow.

Measured on two cores: torchvision's single-threaded kernel took 20 % of a training iteration of `small`, its
products take 3 %.
"""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor

SAMPLES = 2
"""Per cell and axis; their mean is the cell."""
AT_ONCE = 8
"""RoIs: the half-done product of one takes size * W * C numbers."""


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
    height, width = maps.shape[-2:]
    corners = boxes.float() * scale - 0.5
    across = _weights(corners[:, 0], corners[:, 2], size, width).to(maps.dtype)  # (R, m, W)
    down = _weights(corners[:, 1], corners[:, 3], size, height).to(maps.dtype)  # (R, m, H)
    channels_last = maps.permute(0, 2, 3, 1)
    result = maps.new_empty(0, size, size, maps.shape[1])
    parts, order = [result], [rows.new_empty(0)]
    for row in rows.unique().tolist():
        for here in (rows == row).nonzero()[:, 0].split(AT_ONCE):
            lines = down[here].flatten(0, 1) @ channels_last[row].flatten(1)  # (R' m, H) (H, W C)
            lines = lines.reshape(len(here), size, width, -1)
            parts.append(across[here][:, None] @ lines)  # (R', 1, m, W) (R', m, W, C)
            order.append(here)
    if len(parts) == 2:  # in order already
        return parts[1].permute(0, 3, 1, 2)
    return torch.cat(parts)[torch.cat(order).argsort()].permute(0, 3, 1, 2)


def _weights(low: Tensor, high: Tensor, size: int, length: int) -> Tensor:
    """How much each of ``length`` places weighs in each of ``size`` cells from ``low`` to ``high`` (R,) -> (R, m, L).

    The mean of linear interpolations at ``SAMPLES`` places per cell; those more than one place off the map give 0.
    """
    step = (torch.arange(size * SAMPLES, device=low.device) + 0.5) / (size * SAMPLES)
    places = low[:, None] + (high - low)[:, None] * step  # (R, m S)
    inside = (places >= -1) & (places <= length)
    places = places.clamp(0, length - 1)
    index = torch.arange(length, device=low.device)
    weights = (1 - (places[..., None] - index).abs()).clamp(min=0) * inside[..., None]
    return weights.reshape(len(low), size, SAMPLES, length).mean(dim=2)
