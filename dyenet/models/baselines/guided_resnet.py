"""The trunk of a mask propagation stream: a ResNet at stride 8 that takes a guide map as an extra input channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from dyenet.models.blocks import NORMS, NormName, initialise, residual_stage

StemName = Literal["deep", "plain"]
STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
"""Of every block of conv2_x..conv5_x, the first included (the released code of VS-ReID)."""


class GuidedResNet(nn.Module):
    """ResNet (``blocks`` (3, 4, 23, 3) and ``planes`` 64: ResNet-101) with the last two strides dilated instead.

    The guide has a first convolution of its own, ``prob_encode``, whose output is added to that of the images
    before the norm: the same as one more input channel, and the images' weights keep their shape. ``stem``:
    "deep" is the released code's three 3x3 convolutions (conv1_1, conv1_2, conv1_3), "plain" torchvision's 7x7
    (conv1), into which ImageNet weights fit.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self, in_channels: int, *, blocks: Sequence[int], planes: int, stem: StemName, norm: NormName
    ) -> None:
        super().__init__()
        make_norm = NORMS[norm]
        kernel = 3 if stem == "deep" else 7
        first = nn.Conv2d(in_channels, planes, kernel, 2, kernel // 2, bias=False)
        # The norms of the stem stand apart from the convolutions before them: fuse_frozen_norms folds neighbours,
        # and the first norm has two convolutions before it.
        self.prob_encode = nn.Conv2d(1, planes, kernel, 2, kernel // 2, bias=False)
        self.stem = stem
        if stem == "deep":
            self.conv1_1 = first
            self.relu = nn.ReLU(inplace=True)
            self.bn1_1 = make_norm(planes)
            self.conv1_2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn1_2 = make_norm(planes)
            self.conv1_3 = nn.Conv2d(planes, 2 * planes, 3, 1, 1, bias=False)
            self.bn1_3 = make_norm(2 * planes)
        else:
            self.conv1 = first
            self.relu = nn.ReLU(inplace=True)
            self.bn1 = make_norm(planes)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 2 * planes if stem == "deep" else planes
        for stage, (count, stride, dilation) in enumerate(zip(blocks, STRIDES, DILATIONS, strict=True)):
            width = planes * 2**stage
            layer = residual_stage(
                Bottleneck, channels, width, stride=stride, dilations=(dilation,) * count, norm=norm
            )
            setattr(self, f"layer{stage + 1}", layer)
            channels = width * Bottleneck.expansion
        self.out_channels = channels
        initialise(self)

    @property
    def first_conv(self) -> nn.Conv2d:
        """The convolution that sees the images (or the flow)."""
        return self.conv1_1 if self.stem == "deep" else self.conv1

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(B, in_channels, 8h+1, 8w+1), (B, 1, 8h+1, 8w+1) -> (B, C, h+1, w+1); cell k is centred on pixel 8k."""
        x = self.first_conv(x) + self.prob_encode(guide)  # 1/2
        if self.stem == "deep":
            x = self.relu(self.bn1_1(x))
            x = self.relu(self.bn1_2(self.conv1_2(x)))
            x = self.relu(self.bn1_3(self.conv1_3(x)))
        else:
            x = self.relu(self.bn1(x))
        x = self.layer1(self.maxpool(x))  # 1/4
        return self.layer4(self.layer3(self.layer2(x)))  # 1/8
