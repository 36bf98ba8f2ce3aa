"""Pixel matching: cells that look like the object did where its mask is known. Not in the papers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.registry import MODELS

SMALLEST = 1e-4  # a cell of the template is never surely the object's, or surely not


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

    def forward(self, roi: Tensor, template: Tensor) -> Tensor:
        """The log odds (R, m, m) that a cell of ``roi`` (R, C, m, m) is the object's.

        ``template`` (R, C + 1, m, m): features, and a mask in [0, 1]. With s the cosines between the keys of a cell and
        of the template's cells: log sum exp(scale s) over the template's object, less the same over its surroundings
        and one cell more, of the cosine ``unknown``, which stands for all that the template does not show. Features are
        taken less their mean over the template, which all cells share.
        """
        features, mask = template[:, :-1], template[:, -1].flatten(1).float()  # (R, n)
        mean = features.mean(dim=(2, 3), keepdim=True)
        known, seen = self._keys(features - mean), self._keys(roi - mean)
        cosines = torch.einsum("rcp,rcn->rpn", seen, known)  # (R, p, n), p and n cells
        scores = self.log_scale.exp() * cosines.float()
        mask = mask.clamp(SMALLEST, 1 - SMALLEST)[:, None]
        inside = torch.logsumexp(scores + mask.log(), dim=2)
        beside = torch.logsumexp(scores + (1 - mask).log(), dim=2)
        beside = torch.logaddexp(beside, self.log_scale.exp() * self.unknown)
        return (self.weight * (inside - beside)).reshape(len(roi), *roi.shape[-2:])

    def _keys(self, x: Tensor) -> Tensor:
        return F.normalize(self.key(x).flatten(2), dim=1)
