"""Semantic segmentation pre-training of the feature network (DyeNet Sec. 3.3; cf. lxx1991/pytorch-deeplab-resnet)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.data.masks import VOID
from dyenet.models.dyenet import DyeNet
from dyenet.registry import MODELS
from dyenet.structures import Clip
from dyenet.training.stage import Stage, mean_over_processes


@MODELS.register_module()
class SegmentationTraining(Stage):
    """Trunk and a dilated 3x3 + 1x1 classifier under cross entropy; void pixels give no loss.

    Clips come from ``SegmentationImages``: one frame, ``masks`` hold class indices, 0 background.
    """

    network: DyeNet

    def __init__(self, *, num_classes: int, channels: int = 256, **stage: Any) -> None:
        super().__init__(**stage)
        self.train_only(self.network.trunk)
        self.classifier = nn.Sequential(
            nn.Conv2d(self.network.trunk.out_channels, channels, 3, padding=4, dilation=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, num_classes, 1),
        )

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        device = next(self.classifier.parameters()).device
        images = torch.cat([clip.frames for clip in clips]).to(device)
        labels = torch.cat([clip.masks for clip in clips]).to(device).long()  # (N, H, W)
        logits = self.classifier(self.network.trunk(images)[0])
        logits = F.interpolate(logits.float(), scale_factor=self.network.stride, mode="bilinear")
        logits = logits[..., : labels.shape[1], : labels.shape[2]]
        total = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum")
        return {"loss_segmentation": mean_over_processes(total, (labels != VOID).sum())}
