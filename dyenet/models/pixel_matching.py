"""Pixel matching, coarse and fine: cells that look like the object did where its mask is known. Not in the papers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.registry import MODELS

SMALLEST = 1e-4  # a cell of the template is never surely the object's, or surely not
BLOCK = 4
"""Cells a side of what ``FineMatching`` takes for one part."""
RIVAL_BLOCK = 2
"""The same of what ``PixelMatching`` takes for one part of another object."""
RIVAL_WEIGHT = 0.05
"""Of another object's parts beside the template's own surroundings: objects look alike in part. At 1 they lose what
they share; chosen on composites of training sequences."""
RECENT_WEIGHT = 0.1
"""Of what the object's own mask showed some frames ago, beside the given mask: it is nearer in time, and may be wrong.
Chosen on composites of training sequences and devval, as is the next."""
SURE = 0.6
"""From this probability on a cell of that mask counts, in full at 1."""


@MODELS.register_module()
class PixelMatching(nn.Module):
    """Compares every cell of a RoI with every cell of a template of its object, a RoI with a mask.

    A recurrence has to remember by itself what its object looked like; trained briefly it does not, and follows
    whatever its mask has settled on. Here the template's cells are its memory, of the object and of what is beside it:
    soft nearest neighbours, in keys that begin as the trunk's own features.
    """

    def __init__(self, *, in_channels: int, scale: float = 30.0, unknown: float = 0.3) -> None:
        super().__init__()
        self.key = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        nn.init.dirac_(self.key.weight)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.unknown = nn.Parameter(torch.tensor(unknown))
        self.weight = nn.Parameter(torch.tensor(1.0))

    @staticmethod
    def parts(template: Tensor) -> Tensor:
        """(R, C + 1, m, m), features and a mask -> (R, C + 1, n): of every block of cells the mean over the object, and
        how many cells it has there.
        """
        mean, share = _block_means(template[:, :-1], template[:, -1:], RIVAL_BLOCK)
        return torch.cat([mean, share * RIVAL_BLOCK**2], dim=1).flatten(2)

    def forward(
        self, roi: Tensor, template: Tensor, rivals: Tensor | None = None, recent: Tensor | None = None
    ) -> Tensor:
        """The log odds (R, m, m) that a cell of ``roi`` (R, C, m, m) is the object's.

        ``template`` (R, C + 1, m, m): features, and a mask in [0, 1]. With s the cosines between the keys of a cell and
        of the template's cells: log sum exp(scale s) over the template's object, less the same over its surroundings
        and one cell more, of the cosine ``unknown``, which stands for all that the template does not show. Features are
        taken less their mean over the template, which all cells share. ``rivals`` (R, C + 1, N), features and weights
        of parts of other objects, count with the surroundings; cells of ``recent`` (R, C + 2, m, m) count with the
        object and with the surroundings by its last two channels.
        """
        features, mask = template[:, :-1], template[:, -1].flatten(1).float()  # (R, n)
        mean = features.mean(dim=(2, 3), keepdim=True)
        known, seen = _keys(self.key, features - mean), _keys(self.key, roi - mean)
        scale, mask = self.log_scale.exp(), mask.clamp(SMALLEST, 1 - SMALLEST)
        inside, beside = _alike(seen, known, torch.stack([mask, 1 - mask], dim=2), scale).unbind(dim=2)
        beside = beside + (scale * (self.unknown - 1)).exp()
        if rivals is not None:
            beside = beside + _like_rivals(self.key, seen, rivals, mean, scale)
        if recent is not None:
            weights = recent[:, -2:].flatten(2).transpose(1, 2).float()
            now = _alike(seen, _keys(self.key, recent[:, :-2] - mean), weights, scale)
            inside, beside = inside + now[..., 0], beside + now[..., 1]
        return (self.weight * (inside.log() - beside.log())).reshape(len(roi), *roi.shape[-2:])


class FineMatching(nn.Module):
    """The same on the 1/4 map, where thin parts show, with parts of the template in place of its cells: in every block
    of cells the mean of those that are the object's, and the mean of those beside it.
    """

    def __init__(self, *, in_channels: int, scale: float = 10.0) -> None:
        super().__init__()
        self.key = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        nn.init.dirac_(self.key.weight)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @staticmethod
    def parts(fine_roi: Tensor, weights: Tensor) -> Tensor:
        """(R, Cf, s, s), (R, 2, s, s) -> (R, 2, Cf + 1, g, g), g = s / ``BLOCK``: of every block the mean over the
        object and how much of the block it takes, and the same of what is beside it; ``weights`` are what a cell counts
        with either.
        """
        found = []
        for weight in weights.to(fine_roi.dtype).split(1, dim=1):
            found.append(torch.cat(_block_means(fine_roi, weight, BLOCK), dim=1))
        return torch.stack(found, dim=1)

    def forward(
        self, fine_roi: Tensor, parts: Tensor, rivals: Tensor | None = None, recent: Tensor | None = None
    ) -> Tensor:
        """The log odds (R, s, s) that a cell of ``fine_roi`` (R, Cf, s, s) is the object's: log sum exp(scale cosine)
        over the parts of the object, weighted by their shares, less the same over those beside it and ``rivals``
        (R, Cf + 1, N). Those of ``recent``, of the same form as ``parts``, count with theirs.
        """
        common = (
            (parts[:, :, :-1] * parts[:, :, -1:]).sum(dim=1).mean(dim=(2, 3), keepdim=True)
        )  # of all of it
        seen = _keys(self.key, fine_roi - common)
        scale = self.log_scale.exp()
        inside, beside = self._counted(seen, parts, common, scale, least=1e-6)
        if rivals is not None:
            beside = beside + _like_rivals(self.key, seen, rivals, common, scale)
        if recent is not None:
            now_inside, now_beside = self._counted(seen, recent, common, scale)
            inside, beside = inside + now_inside, beside + now_beside
        return (inside.log() - beside.log()).reshape(len(fine_roi), *fine_roi.shape[-2:])

    def _counted(
        self, seen: Tensor, parts: Tensor, common: Tensor, scale: Tensor, least: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """(R, p) of the parts of the object and of those beside it, each counting ``least`` or more."""
        inside, beside = (
            _alike(
                seen,
                _keys(self.key, part[:, :-1] - common),
                part[:, -1].flatten(1).float().clamp(min=least)[..., None],
                scale,
            )[..., 0]
            for part in parts.unbind(1)
        )
        return inside, beside


def template_weights(masks: Tensor) -> Tensor:
    """(R, s, s) in [0, 1] -> (R, 2, s, s): what cells count with the object and with what is beside it."""
    return torch.stack([masks, 1 - masks], dim=1)


def recent_weights(masks: Tensor) -> Tensor:
    """The same of a mask that may be wrong: less, and only where it is sure."""
    return RECENT_WEIGHT * ((template_weights(masks) - SURE) / (1 - SURE)).clamp(min=0)


def _block_means(roi: Tensor, weight: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """(R, C, s, s), (R, 1, s, s) -> of every block the weighted mean (R, C, g, g) and the mean weight (R, 1, g, g)."""
    share = F.avg_pool2d(weight, block)
    return F.avg_pool2d(roi * weight, block) / share.clamp(min=SMALLEST), share


def _alike(seen: Tensor, known: Tensor, weights: Tensor, scale: Tensor) -> Tensor:
    """Keys (R, C, p) and (R, C, n), weights (R, n, k) -> (R, p, k): the weighted sums of exp(scale (cosine - 1))."""
    found = weights.new_empty(len(seen), seen.shape[2], weights.shape[2])
    for row, (s, k, weight) in enumerate(zip(seen, known, weights, strict=True)):  # which bounds the memory
        found[row] = (scale * ((s.T @ k).float() - 1)).exp() @ weight
    return found


def _like_rivals(key: nn.Conv2d, seen: Tensor, rivals: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """(R, p): the same over ``rivals`` (R, C + 1, N)."""
    known = _keys(key, rivals[:, :-1, :, None] - mean)
    return _alike(seen, known, RIVAL_WEIGHT * rivals[:, -1].float()[..., None], scale)[..., 0]


def _keys(key: nn.Conv2d, x: Tensor) -> Tensor:
    """(R, C, h, w) -> (R, C, h w), of unit length."""
    return F.normalize(key(x).flatten(2), dim=1)
