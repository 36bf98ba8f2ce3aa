"""Training of the RPN, on a trunk that is frozen or shared (reading D24: "trained separately from DyeNet")."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dyenet.models.dyenet import DyeNet
from dyenet.registry import MODELS
from dyenet.structures import Clip
from dyenet.training.batch import ClipBatch
from dyenet.training.joint import true_boxes
from dyenet.training.stage import Stage


@MODELS.register_module()
class ProposalTraining(Stage):
    """Class-agnostic: every annotated object is foreground. The heads are left as they are; ``freeze=["trunk"]``
    keeps the trunk too.
    """

    network: DyeNet

    def __init__(self, *, min_area: float = 32.0, **stage: Any) -> None:
        super().__init__(**stage)
        self.min_area = min_area
        self.train_only(self.network.trunk, self.network.rpn)

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        batch = ClipBatch.collate(clips, next(self.network.parameters()).device)
        features = self.network.extract_features(batch.images)
        return self.network.rpn.losses(features.coarse, batch.image_size, true_boxes(batch, self.min_area))
