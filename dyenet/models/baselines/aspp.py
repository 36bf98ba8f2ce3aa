"""Atrous spatial pyramid pooling as the released code of VS-ReID has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dyenet.models.blocks import NORMS, NormName, initialise


class ASPP(nn.Module):
    """Parallel 3x3 convolutions, one per dilation, concatenated and joined by another 3x3."""

    def __init__(self, in_channels: int, *, channels: int, dilations: Sequence[int], norm: NormName) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 3, padding=d, dilation=d) for d in dilations
        )
        self.out_conv2d = nn.Conv2d(len(dilations) * channels, channels, 3, padding=1, bias=False)
        self.out_bn2d = NORMS[norm](channels)
        self.relu = nn.ReLU(inplace=True)
        self.out_channels = channels
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, channels, h, w)."""
        x = torch.cat([conv(x) for conv in self.conv2d_list], dim=1)
        return self.relu(self.out_bn2d(self.out_conv2d(x)))
