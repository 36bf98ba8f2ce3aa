"""One stream of a mask propagation network: pixels and a guide map in, two-class logits out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.models.baselines.aspp import ASPP
from dyenet.models.baselines.guided_resnet import GuidedResNet, StemName
from dyenet.models.baselines.guided_trunk import GuidedTrunk
from dyenet.models.blocks import NormName

STRIDE = 8


class GuidedStream(nn.Module):
    """``GuidedResNet``, ``ASPP``, dropout of 0.1 of the channels, and a 1x1 convolution to (background, object).

    ``trunk``: the block of a ``SmallTrunk`` that stands in place of the ResNet of ``blocks``, ``planes`` and ``stem``.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        trunk: dict[str, Any] | None = None,
        blocks: Sequence[int] = (3, 4, 23, 3),
        planes: int = 64,
        stem: StemName = "deep",
        norm: NormName = "frozen_bn",
        aspp_channels: int = 512,
        aspp_dilations: Sequence[int] = (6, 12, 18, 24, 1),
    ) -> None:
        super().__init__()
        self.backbone: GuidedResNet | GuidedTrunk
        if trunk is None:
            self.backbone = GuidedResNet(in_channels, blocks=blocks, planes=planes, stem=stem, norm=norm)
        else:
            self.backbone = GuidedTrunk(in_channels, trunk=trunk)
        self.aspp = ASPP(
            self.backbone.out_channels, channels=aspp_channels, dilations=aspp_dilations, norm=norm
        )
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(aspp_channels, 2, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(B, in_channels, H, W), (B, H, W) in [0, 1] -> logits (B, 2, H, W), float32.

        Sides that are not 8k + 1 are padded to that, with edge values: then the corners of the 1/8 map lie on
        those of the input, and the upsampling keeps them there.
        """
        height, width = x.shape[-2:]
        x, guide = pad_sides(x), pad_sides(guide[:, None].to(x.dtype))
        size = x.shape[-2:]
        logits = self.classifier(self.dropout(self.aspp(self.backbone(x, guide))))  # (B, 2, h, w)
        logits = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=True)
        return logits[..., :height, :width]


def pad_sides(x: Tensor) -> Tensor:
    """(B, C, H, W) padded at the right and bottom, with edge values, to sides of 8k + 1."""
    bottom, right = -(x.shape[-2] - 1) % STRIDE, -(x.shape[-1] - 1) % STRIDE
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
