"""Embeddings that need no training: a box's features, averaged over its mask and whitened. Not in the papers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dyenet.structures import FrameFeatures

RIDGE = 0.3
"""Share of the mean variance that is added to every direction's before whitening."""


class PooledEmbedding:
    """The features of the 1/8 map, and of the 1/4 map where the network keeps it, averaged over the mask in a box, less
    their mean over ``frame`` and whitened by their covariance there.

    A Re-ID network learns from few objects what sets any two apart. Here the video says it: what all of a frame
    shares counts little, and the directions in which it differs most do not drown the others. Over the mask
    alone, since the background beside an object returns in boxes that do not show it.
    """

    def __init__(self, frame: FrameFeatures) -> None:
        self._whitenings = [_whitening(maps[0]) for maps in (frame.coarse, frame.fine) if maps is not None]
        self.dim = sum(len(mean) for mean, _ in self._whitenings)

    def __call__(self, rois: Sequence[Tensor], masks: Tensor) -> Tensor:
        """RoI features (R, C, s, s) from each of the maps, probabilities (R, m, m) -> (R, D) of unit length, each map's
        part of the same length. Of m and s one is a multiple of the other.
        """
        parts = []
        for roi, (mean, whiten) in zip(rois, self._whitenings, strict=True):
            weight = _resized(masks.float(), roi.shape[-1])  # (R, 1, s, s)
            total = weight.sum(dim=(2, 3)).clamp(min=1e-3)
            pooled = (roi.float() * weight).sum(dim=(2, 3)) / total  # (R, C)
            parts.append(F.normalize((pooled - mean) @ whiten, dim=1))
        return torch.cat(parts, dim=1) / len(parts) ** 0.5


def _resized(masks: Tensor, size: int) -> Tensor:
    """(R, m, m) -> (R, 1, size, size)."""
    factor = masks.shape[-1] // size
    if factor > 1:
        return F.avg_pool2d(masks[:, None], factor)
    return F.interpolate(masks[:, None], size=size, mode="bilinear")


def _whitening(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (C,) of (C, H, W) features, and the matrix (C, C) that makes their covariance about the identity."""
    cells = maps.flatten(1).float().cpu()  # (C, n); not every device has eigenvalues
    variances, directions = torch.linalg.eigh(torch.cov(cells))
    scale = (variances.clamp(min=0) + RIDGE * variances.mean() + 1e-6).rsqrt()
    return cells.mean(dim=1).to(maps.device), (directions * scale @ directions.T).to(maps.device)
