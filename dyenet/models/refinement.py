"""Masks twice as fine as those of the propagation head, from what the frame's pixels show. Not in the papers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.models.blocks import initialise
from dyenet.models.pixel_matching import FineMatching
from dyenet.registry import MODELS

SCALE = 2
"""By how much a refined mask is finer."""
MASK_GAIN = 16.0
"""Masks are multiplied by it, as where the propagation head hears them: two channels among many."""
SUREST = 8.0
"""Log odds of fine matching, and those of the warped mask, are cut off here."""
TRUST = -3.0
"""Log odds of trust in the warped mask before anything is learned."""


@MODELS.register_module()
class MaskRefinement(nn.Module):
    """Corrects upsampled mask logits by the frame's pixels, the trunk's 1/4 map and how it matches the template's, and
    by the warped mask, which takes their place as far as it is trusted: above all where the frame looks as the
    frame before it does along the flow.

    Limbs, wheels and lines are thinner than a cell of the masks that the trunk's maps can tell apart: a patch of 56
    cells a side caps the J of a cyclist at 91 whatever the network does, one of 112 at 98.
    """

    def __init__(self, *, fine_channels: int, channels: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.lateral = nn.Conv2d(fine_channels, channels, 1)
        self.look = nn.Conv2d(4, channels, 3, padding=1)
        self.refine = nn.Sequential(
            nn.Conv2d(2 * channels + 3, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.correction = nn.Conv2d(channels, 1, 1)
        self.trust = nn.Conv2d(channels, 1, 1)
        initialise(self)
        nn.init.zeros_(self.correction.weight)  # starts as bilinear upsampling, but for a little trust
        nn.init.zeros_(self.trust.weight)
        nn.init.constant_(self.trust.bias, TRUST)  # type: ignore[arg-type]
        self.matching = FineMatching(in_channels=fine_channels)  # has its own beginning

    def forward(
        self,
        logits: Tensor,
        fine_roi: Tensor,
        pixels: Tensor,
        warped_mask: Tensor,
        parts: Tensor,
        rivals: Tensor | None = None,
        recent: Tensor | None = None,
        motion: Tensor | None = None,
    ) -> Tensor:
        """(R, s, s) logits, (R, Cf, s, s), pixels and their photometric error (R, 4, 2s, 2s), probabilities (R, 2s, 2s)
        and the ``parts``, ``rivals`` and ``recent`` ones that ``matching`` compares with -> (R, 2s, 2s) logits. With
        the pixels ``motion`` (R, channels, 2s, 2s) is heard.
        """
        size = pixels.shape[-2:]
        matched = self.matching(fine_roi, parts, rivals, recent).clamp(-SUREST, SUREST)[:, None]
        upsampled = F.interpolate(logits[:, None], size=size, mode="bilinear")
        coarser = torch.cat([self.lateral(fine_roi), matched.to(fine_roi.dtype)], dim=1)
        masks = torch.cat([upsampled.sigmoid(), warped_mask[:, None].to(upsampled.dtype)], dim=1)
        coarser, pixels, masks = (_channels_last(x) for x in (coarser, pixels, masks.to(coarser.dtype)))
        looks = self.look(pixels) if motion is None else self.look(pixels) + motion
        seen = [F.interpolate(coarser, size=size, mode="bilinear"), looks, MASK_GAIN * masks]
        features = self.refine(torch.cat(seen, dim=1))
        trust = self.trust(features).float().sigmoid()
        found = (upsampled + self.correction(features)).float()
        warped = warped_mask[:, None].float().logit(1e-6).clamp(-SUREST, SUREST)
        return torch.lerp(found, warped, trust)[:, 0]


def _channels_last(x: Tensor) -> Tensor:
    """Of few channels and many cells: so all of it takes a fifth less time on a CPU."""
    return x.contiguous(memory_format=torch.channels_last)
