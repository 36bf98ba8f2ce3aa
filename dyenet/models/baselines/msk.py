"""MSK, the papers' baseline (MaskTrack, Perazzi et al. 2017) on a ResNet-101 (reading D27)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dyenet.models.baselines.guided_stream import GuidedStream
from dyenet.models.trunk import IMAGENET_MEAN, IMAGENET_STD
from dyenet.registry import MODELS


@MODELS.register_module()
class MSK(nn.Module):
    """The full image and the mask of the previous frame, where it was, as a fourth channel; no flow, no boxes.

    ``stream`` holds the arguments of ``GuidedStream``; ``mean`` and ``std`` are of RGB in 0..255.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD, **stream: Any
    ) -> None:
        super().__init__()
        self.stream = GuidedStream(3, **stream)
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    def logits(self, images: Tensor, masks: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..255, (B, H, W) 0/1 -> (B, 2, H, W), (background, object)."""
        return self.stream((images.to(self.mean.dtype) - self.mean) / self.std, masks)

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """The same -> (B, H, W) probabilities of the object."""
        return self.logits(images, masks).softmax(1)[:, 1]
