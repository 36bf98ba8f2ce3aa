"""A trunk of DyeNet that takes a guide map as an extra input channel: for baselines that start where `small` does."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dyenet.errors import ConfigError
from dyenet.models.blocks import initialise
from dyenet.models.trunk import SmallTrunk
from dyenet.registry import MODELS


class GuidedTrunk(nn.Module):
    """``GuidedResNet``'s place taken by a ``SmallTrunk``, so that its distilled weights fit (``trunk.``).

    The guide has a convolution of its own, ``prob_encode``, whose output is added after the first norm: the scale of
    that norm is in its weights.
    """

    def __init__(self, in_channels: int, *, trunk: dict[str, Any]) -> None:
        super().__init__()
        built = MODELS.build(trunk)
        if not isinstance(built, SmallTrunk):
            raise ConfigError(f"a stream's trunk may be a SmallTrunk; this is a {type(built).__name__}")
        self.trunk = built
        old = self.first_conv
        if in_channels != old.in_channels:
            built.stem[0] = nn.Conv2d(in_channels, old.out_channels, 3, 2, 1, bias=False)
            initialise(built.stem[0])
        self.prob_encode = nn.Conv2d(1, old.out_channels, 3, 2, 1, bias=False)
        initialise(self.prob_encode)
        self.out_channels = built.out_channels

    @property
    def first_conv(self) -> nn.Conv2d:
        """The convolution that sees the images (or the flow)."""
        first = self.trunk.stem[0]
        assert isinstance(first, nn.Conv2d)
        return first

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(B, in_channels, 8h+1, 8w+1), (B, 1, 8h+1, 8w+1) -> (B, C, h+1, w+1); cell k is centred on pixel 8k."""
        stem = self.trunk.stem
        x = stem[1](self.first_conv(x)) + self.prob_encode(guide)  # 1/2
        x = self.trunk.layer1(stem[2:](x))  # 1/4
        return self.trunk.layer3(self.trunk.layer2(x))  # 1/8
