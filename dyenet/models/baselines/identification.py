"""The Identification Net of VS-ReID (N_reid, Sec. 3.2): a split ResNet-50 as in Xiao et al. 2017's code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.ops import RoIPool

from dyenet.models.blocks import NORMS, FeatureNorm, NormName, initialise, residual_stage
from dyenet.models.trunk import IMAGENET_MEAN, IMAGENET_STD, Trunk
from dyenet.registry import MODELS

POOLED = 14


@MODELS.register_module()
class IdentificationNet(nn.Module):
    """conv1..conv4_``split`` on the whole frame, RoIPool 14x14 at 1/16, the rest per box, mean, FC, unit length.

    ``blocks`` (3, 4, 6, 3) and ``planes`` 64: ResNet-50, with torchvision's names. Frames are resized so that the
    shorter side is ``short_side`` pixels and the longer at most ``long_side``.

    ``trunk``: the block of one of DyeNet's trunks that stands in place of conv1..conv4_``split``, at 1/8.
    ``pooled_norm`` normalises the pooled features before the FC layer, as in DyeNet's ``ReIDHead``.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        trunk: dict[str, Any] | None = None,
        blocks: Sequence[int] = (3, 4, 6, 3),
        planes: int = 64,
        split: int = 3,
        embedding_dim: int = 256,
        norm: NormName = "frozen_bn",
        pooled_norm: bool = False,
        short_side: int = 600,
        long_side: int = 1000,
    ) -> None:
        super().__init__()
        self.split, self.embedding_dim = split, embedding_dim
        self.short_side, self.long_side = short_side, long_side
        stages = list(enumerate(zip(blocks, (1, 2, 2, 2), strict=True)))
        self.trunk: Trunk | None = None
        if trunk is not None:
            self.trunk = MODELS.build(trunk)
            channels, stages = self.trunk.out_channels, stages[-1:]
        else:
            self.conv1 = nn.Conv2d(3, planes, 7, 2, 3, bias=False)
            self.bn1 = NORMS[norm](planes)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            channels = planes
        for stage, (count, stride) in stages:
            width = planes * 2**stage
            layer = residual_stage(
                Bottleneck, channels, width, stride=stride, dilations=(1,) * count, norm=norm
            )
            setattr(self, f"layer{stage + 1}", layer)
            channels = width * Bottleneck.expansion
        self.pooled_norm = FeatureNorm(channels) if pooled_norm else None
        self.fc = nn.Linear(channels, embedding_dim)
        self.pool = RoIPool(POOLED, 1 / 16 if trunk is None else 1 / 8)
        initialise(self)
        nn.init.kaiming_normal_(self.fc.weight)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)

    def extract_features(self, images: Tensor) -> tuple[Tensor, float]:
        """(B, 3, H, W) RGB in 0..255 -> the map (B, C, h, w) of the resized frames, and their scale."""
        height, width = images.shape[-2:]
        scale = min(self.short_side / min(height, width), self.long_side / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        x = images.to(self.mean.dtype)
        x = F.interpolate(x, size=size, mode="bilinear", antialias=scale < 1)
        if self.trunk is not None:
            return self.trunk(x)[0], scale  # 1/8
        x = (x - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # 1/4
        x = self.layer2(self.layer1(x))  # 1/8
        return self.layer3[: self.split](x), scale  # 1/16

    def embed(self, features: tuple[Tensor, float], boxes: Tensor, rows: Tensor) -> Tensor:
        """Boxes (R, 4), in pixels of the frames, in frames ``rows`` (R,) of the batch -> (R, D) of unit length."""
        maps, scale = features
        rois = torch.cat([rows[:, None].to(boxes.dtype), boxes * scale], dim=1)
        roi = self.pool(maps.float(), rois.float())  # (R, C, 14, 14); RoIPool knows no bf16 on a CPU
        roi = roi.to(maps.dtype)
        if self.trunk is None:
            roi = self.layer3[self.split :](roi)
        x = self.layer4(roi).mean((2, 3))  # (R, C', 7, 7) -> (R, C')
        if self.pooled_norm is not None:
            x = self.pooled_norm(x)
        return F.normalize(self.fc(x).float(), dim=1)

    def forward(self, images: Tensor, boxes: Tensor, rows: Tensor) -> Tensor:
        """Both in one."""
        return self.embed(self.extract_features(images), boxes, rows)
