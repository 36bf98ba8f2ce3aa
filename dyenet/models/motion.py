"""Motion as a cue: cells that move as an object does are likely its own. Not in DyeNet; VS-ReID has a stream for it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.registry import MODELS

GAIN = 8.0
"""The contrast is multiplied by it, as masks are where heads hear them: one channel among many."""


@MODELS.register_module()
class MotionCue(nn.Module):
    """Lets the propagation head and refinement hear ``motion_contrast``.

    What comes into sight of an object, or looks unlike its given mask, matches nothing that is known of it; but it
    moves along. Where everything moves alike this is silent, and it begins silent.
    """

    def __init__(self, *, roi_channels: int, refined_channels: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.coarse = nn.Conv2d(1, roi_channels, 3, padding=1, bias=False)
        self.fine = nn.Conv2d(1, refined_channels, 3, padding=1, bias=False)
        for layer in (self.coarse, self.fine):
            nn.init.zeros_(layer.weight)

    def forward(self, contrast: Tensor) -> tuple[Tensor, Tensor]:
        """(R, sm, sm) -> what is added to RoI features, (R, C, m, m), and to the refinement's look at the frame,
        (R, C', sm, sm).
        """
        contrast = GAIN * contrast[:, None]
        factor = contrast.shape[-1] // self.cells
        return self.coarse(F.avg_pool2d(contrast, factor)), self.fine(contrast)
