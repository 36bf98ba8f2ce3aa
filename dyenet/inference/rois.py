"""RoI features of boxes of one frame."""

from __future__ import annotations

import torch
from torch import Tensor

from dyenet.models.dyenet import DyeNet
from dyenet.structures import FrameFeatures


def in_frame(features: FrameFeatures, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (R, 4) where the features lie, and the rows (R,) of their frame, the only one."""
    boxes = boxes.to(features.coarse.device)
    return boxes, torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)


def roi_of(network: DyeNet, features: FrameFeatures, boxes: Tensor) -> Tensor:
    """(R, 4) -> (R, C, m, m)."""
    return network.roi_features(features, *in_frame(features, boxes))
