"""Trunk pre-training by distillation: the trunk learns to predict a stronger trunk's features.

Not in the papers, which start from ImageNet weights; it stands in where those cannot be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

from dyenet.models.dyenet import DyeNet
from dyenet.models.trunk import Trunk
from dyenet.registry import MODELS
from dyenet.structures import Clip
from dyenet.training.stage import Stage, keep_maps

CLAMP = (-3.0, 6.0)
"""Standardised teacher features are cut to this range: a few cells are far outside and would rule the loss."""


@MODELS.register_module()
class TrunkDistillation(Stage):
    """Regresses the teacher's 1/8 map, each channel standardised, from the student's by a 1x1 convolution.

    ``teacher`` is the config of any trunk (``ExternalTrunk`` for somebody else's module). It is no part of the
    saved weights. The channels' means and spreads are running averages over the first ``calibration`` batches.
    ``cache``: a folder for the maps of an ``ExternalTrunk``. With a data set of a ``length`` that comes round several
    times, the teacher, which takes most of the time on a CPU, runs in the first only.
    """

    network: DyeNet
    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(
        self, *, teacher: Mapping[str, Any], calibration: int = 20, cache: str | None = None, **stage: Any
    ) -> None:
        super().__init__(**stage)
        self.train_only(self.network.trunk)
        built: Trunk = MODELS.build(dict(teacher)).eval().requires_grad_(False)
        if cache is not None:
            keep_maps(built, cache)
        self._teacher = [built]  # in a list: not a submodule, so neither saved nor trained
        self.projection = nn.Conv2d(self.network.trunk.out_channels, built.out_channels, 1)
        self.calibration = calibration
        self.register_buffer("mean", torch.zeros(built.out_channels))
        self.register_buffer("square", torch.zeros(built.out_channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        device = self.mean.device
        images = torch.cat([clip.frames for clip in clips])
        images = images.to(device)
        with torch.no_grad():
            target = self._standardised(self._teacher[0].to(device)(images)[0].float())
        predicted = self.projection(self.network.trunk(images)[0])
        return {"loss_distill": F.mse_loss(predicted.float(), target)}

    def _standardised(self, features: Tensor) -> Tensor:
        if self.training and self.batches < self.calibration:
            share = 1 / (int(self.batches) + 1)
            moments = torch.stack([features.mean((0, 2, 3)), features.square().mean((0, 2, 3))])
            all_reduce(moments, "mean")
            self.mean.lerp_(moments[0], share)
            self.square.lerp_(moments[1], share)
            self.batches += 1
        spread = (self.square - self.mean.square()).clamp(min=1e-4).sqrt()
        return ((features - self.mean[:, None, None]) / spread[:, None, None]).clamp(*CLAMP)
