"""VS-ReID's detection network (N_det, Sec. 3.2): torchvision's Faster R-CNN as a source of candidate boxes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, batched_nms

from dyenet.errors import ConfigError
from dyenet.models.blocks import initialise
from dyenet.models.proposals import Proposals
from dyenet.models.trunk import IMAGENET_MEAN, IMAGENET_STD, Trunk
from dyenet.registry import MODELS
from dyenet.structures import clip_boxes

RATIOS = (0.5, 1.0, 2.0)


class _TrunkBackbone(nn.Module):
    """One of our trunks as torchvision wants a backbone: one map, at 1/8."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.out_channels = trunk.out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict([("0", self.trunk(images)[0])])


@MODELS.register_module()
class FasterRCNN(nn.Module):
    """torchvision's Faster R-CNN (Ren et al. 2015), class agnostic: background, and ``num_classes`` - 1 of objects.

    ``backbone``: "resnet50_fpn", whose names are those of torchvision's ``fasterrcnn_resnet50_fpn`` (below
    ``model.``), or the config block of a trunk, whose 1/8 map is used with anchors of ``sizes`` pixels a side.
    ``person_class``: which class is people, if one is (1 in COCO). Frames are resized so that the shorter side is
    ``short_side`` pixels and the longer at most ``long_side``. ``representation`` is the width of the box head;
    ``nms_iou`` of the boxes that come out; ``rois_per_image`` the box head is trained on.
    """

    def __init__(
        self,
        *,
        backbone: Literal["resnet50_fpn"] | dict[str, Any] = "resnet50_fpn",
        num_classes: int = 2,
        person_class: int | None = None,
        sizes: Sequence[int] = (32, 64, 128, 256, 512),
        representation: int = 1024,
        short_side: int = 600,
        long_side: int = 1000,
        nms_iou: float = 0.5,
        rois_per_image: int = 512,
    ) -> None:
        super().__init__()
        if person_class is not None and not 1 <= person_class < num_classes:
            raise ConfigError(f"person_class is {person_class}, but the classes are 1 to {num_classes - 1}")
        self.person_class, self.nms_iou = person_class, nms_iou
        options: dict[str, Any] = dict(
            min_size=short_side, max_size=long_side, box_batch_size_per_image=rois_per_image
        )
        if backbone == "resnet50_fpn":
            body: nn.Module = resnet_fpn_backbone(
                backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
            )
            initialise(body)
            options |= dict(image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD)
        elif isinstance(backbone, dict):
            body = _TrunkBackbone(MODELS.build(backbone))
            options |= dict(
                image_mean=(0.0, 0.0, 0.0),  # the trunk normalises
                image_std=(1.0, 1.0, 1.0),
                rpn_anchor_generator=AnchorGenerator((tuple(sizes),), (RATIOS,)),
                box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
            )
        else:
            raise ConfigError(f"backbone is {backbone!r}; it may be 'resnet50_fpn' or a trunk's config block")
        self.model: Any = TorchvisionFasterRCNN(
            body,
            num_classes=None,
            box_head=TwoMLPHead(int(body.out_channels) * 7**2, representation),  # type: ignore[arg-type]
            box_predictor=FastRCNNPredictor(representation, num_classes),
            **options,
        )

    def losses(self, images: Tensor, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """torchvision's four losses of (B, 3, H, W) RGB in 0..255 against true ``boxes``, (K, 4) per frame.

        Every true box is of class 1; K may be 0. Only in training mode.
        """
        targets = [
            {"boxes": b.float(), "labels": torch.ones(len(b), dtype=torch.long, device=b.device)}
            for b in boxes
        ]
        return self.model(list(images.float()), targets)

    def forward(self, images: Tensor, *, max_proposals: int = 100) -> list[Proposals]:
        """(B, 3, H, W) RGB in 0..255 -> the best boxes of every frame, whatever their class."""
        found = []
        for image in images:
            listed, features = self._features(image)
            boxes, _ = self.model.rpn(listed, features)
            scores, deltas = self._classify(features, boxes, listed)
            decoded = self.model.roi_heads.box_coder.decode(deltas, boxes)  # (M, classes, 4)
            objectness, best = scores[:, 1:].max(dim=1)
            rows = torch.arange(len(best), device=best.device)
            kept = clip_boxes(decoded[rows, best + 1], listed.image_sizes[0]) / self._scale(image, listed)
            large = ((kept[:, 2:] - kept[:, :2]) >= 4).all(dim=1)
            kept, objectness = kept[large], objectness[large]
            order = batched_nms(kept, objectness, torch.zeros_like(objectness), self.nms_iou)[:max_proposals]
            found.append(Proposals(kept[order], objectness[order]))
        return found

    def person_probabilities(self, image: Tensor, boxes: Tensor) -> Tensor:
        """(3, H, W), boxes (R, 4) -> (R,): the share of people among the foreground classes' probability."""
        if self.person_class is None:
            raise ConfigError("the detector knows no people; set person_class")
        listed, features = self._features(image)
        scores, _ = self._classify(features, [boxes * self._scale(image, listed)], listed)
        return scores[:, self.person_class] / scores[:, 1:].sum(1).clamp(min=1e-12)

    def _features(self, image: Tensor) -> tuple[ImageList, OrderedDict[str, Tensor]]:
        listed, _ = self.model.transform([image.float()], None)
        return listed, self.model.backbone(listed.tensors)

    def _classify(
        self, features: OrderedDict[str, Tensor], boxes: list[Tensor], listed: ImageList
    ) -> tuple[Tensor, Tensor]:
        """Class probabilities (M, classes) and box deltas (M, classes * 4) of boxes in the resized frame."""
        heads = self.model.roi_heads
        pooled = heads.box_head(heads.box_roi_pool(features, boxes, listed.image_sizes))
        logits, deltas = heads.box_predictor(pooled)
        return logits.softmax(1), deltas

    @staticmethod
    def _scale(image: Tensor, listed: ImageList) -> Tensor:
        """Resized over given size, for x and y, as torchvision rounded it."""
        height, width = listed.image_sizes[0]
        scale = [width / image.shape[-1], height / image.shape[-2]]
        return torch.tensor(scale * 2, device=listed.tensors.device)
