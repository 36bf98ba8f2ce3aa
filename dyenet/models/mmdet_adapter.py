"""mmdetection's backbones and detectors in our configs, and DyeNet in mmdetection's registry.

An extra (``pip install 'dyenet[mmdet]'``), loaded when a config names one of the two types here. It imports
``mmcv.ops``, whose compiled part takes minutes to build; the few operators that its common models call are served here
from torchvision instead, and a call of any other says so.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from dyenet.errors import ConfigError
from dyenet.models.dyenet import DyeNet
from dyenet.models.proposals import Proposals
from dyenet.models.trunk import IMAGENET_MEAN, IMAGENET_STD, Trunk
from dyenet.registry import MODELS


class _Operators(types.ModuleType):
    """Stands in for mmcv's compiled module ``mmcv._ext``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # mmengine asks for it

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_args: Any, **_kwargs: Any) -> None:
            raise NotImplementedError(
                f"mmcv's compiled operator '{name}' is not served here; build mmcv with its ops"
            )

        return missing

    @staticmethod
    def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
        return nms(boxes, scores, iou_threshold)

    @staticmethod
    def roi_align_forward(
        maps: Tensor,
        rois: Tensor,
        output: Tensor,
        _argmax_y: Tensor,
        _argmax_x: Tensor,
        *,
        aligned_height: int,
        aligned_width: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: int,
        aligned: bool,
    ) -> None:
        if pool_mode != 1:
            raise NotImplementedError("RoIAlign by maximum is not served here; build mmcv with its ops")
        size = (aligned_height, aligned_width)
        output.copy_(roi_align(maps, rois, size, spatial_scale, sampling_ratio or -1, aligned))


def mmdet_models() -> Any:
    """mmdetection's ``MODELS`` registry, with DyeNet in it; raises ConfigError where mmdet is not installed."""
    served = "mmcv._ext" not in sys.modules and find_spec("mmcv._ext") is None
    if served:
        sys.modules["mmcv._ext"] = _Operators("mmcv._ext")
    try:
        import mmdet.models  # noqa: F401  (registers them)
        from mmdet.registry import MODELS as MMDET_MODELS
    except ImportError as error:
        if served:
            del sys.modules["mmcv._ext"]
        raise ConfigError(
            f"this config needs mmdetection, which is not installed ({error}); pip install 'dyenet[mmdet]'"
        ) from error
    if "DyeNet" not in MMDET_MODELS:
        MMDET_MODELS.register_module(name="DyeNet", module=DyeNet)
    return MMDET_MODELS


@MODELS.register_module()
class MMDetTrunk(Trunk):
    """Any mmdetection backbone as conv1..conv4_x.

    ``backbone`` is its config with ``out_indices`` of two maps: the 1/4 map of ``fine_channels`` and then the 1/8
    map of ``out_channels``.
    """

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        out_channels: int,
        fine_channels: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__(mean, std)
        self.backbone: Any = mmdet_models().build(backbone)
        self.out_channels, self.fine_channels = out_channels, fine_channels

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine, coarse = self.backbone(x)
        if coarse.shape[-1] * self.stride != x.shape[-1] or fine.shape[-1] * self.stride // 2 != x.shape[-1]:
            raise ConfigError(
                f"the backbone gives maps of width {fine.shape[-1]} and {coarse.shape[-1]} for a frame of width "
                f"{x.shape[-1]}; set its strides, dilations and out_indices so that they are at 1/4 and 1/8"
            )
        return coarse, fine


@MODELS.register_module()
class MMDetDetector(nn.Module):
    """Any mmdetection detector (RPN, Faster R-CNN, ...) as a source of candidate boxes."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        detector: dict[str, Any],
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.detector: Any = mmdet_models().build(ConfigDict(detector))
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, *, max_proposals: int = 100) -> list[Proposals]:
        """(B, 3, H, W) RGB in 0..255 -> the best boxes of every frame, whatever their class."""
        from mmdet.structures import DetDataSample

        height, width = images.shape[-2:]
        shape = {"img_shape": (height, width), "ori_shape": (height, width), "pad_shape": (height, width)}
        samples = [DetDataSample(metainfo={**shape, "scale_factor": (1.0, 1.0)}) for _ in images]
        results = self.detector.predict((images.float() - self.mean) / self.std, samples)
        found = []
        for result in results:
            scores, order = result.pred_instances.scores.sort(descending=True)
            found.append(
                Proposals(result.pred_instances.bboxes[order][:max_proposals], scores[:max_proposals])
            )
        return found
