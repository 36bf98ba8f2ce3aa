"""The Region Proposal Network (Ren et al. 2015) over the shared trunk (DyeNet Sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import batched_nms

from dyenet.registry import MODELS
from dyenet.structures import clip_boxes


@dataclass(frozen=True)
class Proposals:
    """``boxes`` (M, 4) and their ``objectness`` (M,) in [0, 1], highest first."""

    boxes: Tensor
    objectness: Tensor

    def __len__(self) -> int:
        return len(self.boxes)


@MODELS.register_module()
class ProposalNetwork(nn.Module):
    """torchvision's RPN on one 1/8 map; anchor sizes are in pixels, whatever the stride (detectron2's C4 sizes)."""

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 1024,
        sizes: Sequence[int] = (32, 64, 128, 256, 512),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        pre_nms: int = 6000,
    ) -> None:
        super().__init__()
        anchors = AnchorGenerator((tuple(sizes),), (tuple(ratios),))
        self.rpn = RegionProposalNetwork(
            anchors,
            _SlimRPNHead(in_channels, channels, len(sizes) * len(ratios)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": pre_nms, "testing": pre_nms},
            post_nms_top_n={"training": pre_nms, "testing": pre_nms},
            nms_thresh=1.0,  # ours below, so that its threshold is the caller's
        )
        self.pre_nms = pre_nms

    def forward(
        self, coarse: Tensor, image_size: tuple[int, int], *, max_proposals: int = 100, nms_iou: float = 0.7
    ) -> list[Proposals]:
        """The best boxes of every frame of ``coarse`` (B, C, H/8, W/8), clipped to ``image_size`` (H, W)."""
        objectness, deltas, anchors = self._predict(coarse, image_size)
        decoded = self.rpn.box_coder.decode(deltas.float(), anchors).reshape(len(coarse), -1, 4)
        scores = objectness.float().sigmoid().reshape(len(coarse), -1)
        return [
            self._select(b, s, image_size, max_proposals, nms_iou)
            for b, s in zip(decoded, scores, strict=True)
        ]

    def _select(
        self, boxes: Tensor, scores: Tensor, image_size: tuple[int, int], max_proposals: int, nms_iou: float
    ) -> Proposals:
        scores, order = scores.topk(min(self.pre_nms, len(scores)))
        boxes = clip_boxes(boxes[order], image_size)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= 4).all(dim=1)  # half a feature cell a side
        boxes, scores = boxes[large], scores[large]
        keep = batched_nms(boxes, scores, torch.zeros_like(scores), nms_iou)[:max_proposals]
        return Proposals(boxes[keep], scores[keep])

    def losses(
        self, coarse: Tensor, image_size: tuple[int, int], boxes: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """``loss_objectness`` and ``loss_box`` against the true ``boxes``, (K, 4) per frame; K may be 0."""
        objectness, deltas, anchors = self._predict(coarse, image_size)
        targets = [{"boxes": b.to(coarse.device, torch.float32)} for b in boxes]
        labels, matched = self.rpn.assign_targets_to_anchors(anchors, targets)
        regression = self.rpn.box_coder.encode(matched, anchors)
        loss_objectness, loss_box = self.rpn.compute_loss(
            objectness.float(), deltas.float(), labels, regression
        )
        return {"loss_objectness": loss_objectness, "loss_box": loss_box}

    def _predict(self, coarse: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor, list[Tensor]]:
        # torchvision's AnchorGenerator takes the stride as image // grid, so it must be told the padded size.
        padded = coarse.new_empty((len(coarse), 3, 8 * coarse.shape[2], 8 * coarse.shape[3]), device="meta")
        images = ImageList(padded, [image_size] * len(coarse))
        anchors = [a.to(coarse.device) for a in self.rpn.anchor_generator(images, [coarse.float()])]
        objectness, deltas = self.rpn.head([coarse])
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        return objectness, deltas, anchors


class _SlimRPNHead(RPNHead):
    """torchvision's head with a width of its own between the 3x3 and the two 1x1 convolutions."""

    def __init__(self, in_channels: int, channels: int, num_anchors: int) -> None:
        super().__init__(in_channels, num_anchors)
        first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.conv = nn.Sequential(first, nn.ReLU(inplace=True))
        self.cls_logits = nn.Conv2d(channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, num_anchors * 4, 1)
        for layer in (first, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
