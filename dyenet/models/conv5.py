"""conv5_x, the block that all three heads reuse (DyeNet Secs. 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from dyenet.models.blocks import NormName, initialise, residual_stage


class Conv5(nn.Module):
    """Three bottlenecks of ``width`` to ``out_channels``; the paper's is 512 to 2048.

    ``stride`` 2 is the original (Re-ID embedding); 1 is for the mask network and the recurrence, with
    ``dilations`` in place of the stride (reading D9). ``extra_channels`` widens the first block's two input
    convolutions for the hidden state, [x, h] (reading D3).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: int,
        out_channels: int,
        stride: Literal[1, 2],
        dilations: Sequence[int],
        norm: NormName,
        extra_channels: int = 0,
    ) -> None:
        super().__init__()
        planes = out_channels // Bottleneck.expansion
        self.blocks = residual_stage(
            Bottleneck,
            in_channels + extra_channels,
            planes,
            stride=stride,
            dilations=dilations,
            norm=norm,
            base_width=64 * width // planes,
        )
        self.out_channels = out_channels
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, m, m) -> (R, out_channels, m/stride, m/stride)."""
        return self.blocks(x)


class OutputNetwork(nn.Module):
    """N_O of Eq. (2): three convolutions, 3x3, 3x3 and 1x1, from d channels to one logit (reading D8)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        initialise(self)
        nn.init.normal_(self.conv3.weight, std=0.01)  # the first masks are near 0.5, whatever the width

    def features(self, h: Tensor) -> Tensor:
        """(R, d, m, m) -> (R, channels, m, m): what the last convolution sees."""
        return self.relu(self.conv2(self.relu(self.conv1(h))))

    def forward(self, h: Tensor) -> Tensor:
        """(R, d, m, m) -> (R, m, m) logits."""
        return self.conv3(self.features(h))[:, 0]
