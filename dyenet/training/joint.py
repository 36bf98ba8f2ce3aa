"""Joint training of DyeNet: L = L_reid + lambda (L_mask + L_remp) (Sec. 3.3, "Training Details")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from dyenet.config import build
from dyenet.errors import ConfigError
from dyenet.models.dyenet import DyeNet
from dyenet.models.oim import OIMLoss
from dyenet.registry import MODELS
from dyenet.structures import Clip, FrameFeatures
from dyenet.training.batch import MIN_SIDE, ClipBatch, at_least, jitter_boxes
from dyenet.training.recurrence import (
    RecurrenceConfig,
    RecurrentState,
    begin_from_found,
    begin_from_truth,
    unroll,
    with_templates_of,
)
from dyenet.training.stage import Stage, keep_maps, mean_over_processes


@dataclass(frozen=True, kw_only=True)
class RoIConfig:
    """The boxes of L_reid and L_mask (reading D20): true boxes, each ``jittered`` times with sides moved by
    ``jitter``, and RPN proposals with an IoU of ``min_iou`` or more, at most ``max_per_image``.
    """

    jittered: int = 1
    jitter: float = 0.1
    proposals: bool = True
    min_iou: float = 0.5
    max_per_image: int = 16
    min_area: float = 32.0


@MODELS.register_module()
class JointTraining(Stage):
    """Trains all of DyeNet at once on clips; gradients of L_remp reach the trunk through time.

    ``num_identities`` is the length of the OIM table; ``oim`` holds its other arguments. ``loss_weight`` is the
    paper's lambda (0 leaves L_mask and L_remp out altogether), ``reid_weight`` scales L_reid; ``rpn_weight`` above 0
    trains the RPN along (the paper trains it apart). ``cache``: a folder for the maps of an ``ExternalTrunk``;
    clips that come round then start from other masks each time.
    """

    network: DyeNet

    def __init__(
        self,
        *,
        num_identities: int,
        loss_weight: float = 1.0,
        reid_weight: float = 1.0,
        rpn_weight: float = 0.0,
        oim: Mapping[str, Any] | None = None,
        rois: Mapping[str, Any] | None = None,
        recurrence: Mapping[str, Any] | None = None,
        cache: str | None = None,
        **stage: Any,
    ) -> None:
        super().__init__(**stage)
        if not isinstance(self.network, DyeNet):
            name = type(self.network).__name__
            raise ConfigError(
                f"JointTraining, and with it online fine-tuning, is for DyeNet; this is a {name}"
            )
        self.loss_weight, self.reid_weight, self.rpn_weight = loss_weight, reid_weight, rpn_weight
        self.rois = build(RoIConfig, rois, "model.rois.")
        self.recurrence = build(RecurrenceConfig, recurrence, "model.recurrence.")
        self.oim = OIMLoss(
            num_identities=num_identities, embedding_dim=self.network.embedding_dim, **(oim or {})
        )
        self.comes_round = cache is not None
        if cache is not None:
            keep_maps(self.network.trunk, cache)
        if rpn_weight == 0:
            self.network.rpn.requires_grad_(False)

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        device = next(self.network.parameters()).device
        # Clips that come round, for their maps' sake, begin elsewhere each time; the iteration sets the seed.
        seed = torch.initial_seed() % 2**32 if self.comes_round else 0
        batch, state = self.rollout(ClipBatch.collate(clips, device, seed=seed))
        features = self.network.extract_features(batch.images)
        if state is None and self.loss_weight > 0:
            state = self.begin(batch, features)
        losses = self.reid_and_mask_losses(batch, features, state)
        if state is not None and self.loss_weight > 0:
            losses["loss_remp"] = self.loss_weight * self.remp_loss(batch, features, state)
        if self.rpn_weight > 0:
            boxes = true_boxes(batch, self.rois.min_area)
            for name, value in self.network.rpn.losses(features.coarse, batch.image_size, boxes).items():
                losses[f"{name}_rpn"] = self.rpn_weight * value
        return losses

    def reid_and_mask_losses(
        self, batch: ClipBatch, features: FrameFeatures, state: RecurrentState | None = None
    ) -> dict[str, Tensor]:
        """L_reid over the identities of the RoIs, and L_mask, mean BCE over m x m and the RoIs (reading D19).

        The masks of objects that ``state`` has templates of hear pixel matching, as those of inference do.
        """
        objects, frames, boxes = self.sample_rois(batch, features)
        mask_sum = reid_sum = features.coarse.sum() * 0
        cells = reid_count = torch.zeros((), device=mask_sum.device)
        if len(objects):
            roi = self.network.roi_features(features, boxes, batch.frame_rows(objects, frames))
            if self.loss_weight > 0:
                logits = self._segment(roi, objects, state).float()
                target, valid = batch.targets(objects, frames, boxes, logits.shape[-1])
                mask_sum = F.binary_cross_entropy_with_logits(logits, target, weight=valid, reduction="sum")
                cells = valid.sum()
            embeddings, labels = self.network.embed(roi), batch.identities[objects]
            reid_sum, reid_count = self.oim.losses(embeddings, labels)
            if self.training:
                self.oim.collect(embeddings, labels)
        return {
            "loss_reid": self.reid_weight * mean_over_processes(reid_sum, reid_count),
            "loss_mask": self.loss_weight * mean_over_processes(mask_sum, cells),
        }

    def _segment(self, roi: Tensor, objects: Tensor, state: RecurrentState | None) -> Tensor:
        if state is None or state.template is None or not len(state.objects):
            return self.network.segment(roi)
        same = objects[:, None] == state.objects  # (R', R)
        known, row = same.any(dim=1).nonzero()[:, 0], same.int().argmax(dim=1)
        matched = self.network.match(roi[known], state.template[row[known]])
        assert matched is not None
        log_odds = matched.new_zeros(len(roi), *matched.shape[1:]).index_add(0, known, matched)
        return self.network.segment(roi, log_odds)

    def sample_rois(self, batch: ClipBatch, features: FrameFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """(objects (R',), frames (R',), boxes (R', 4)) of L_reid and L_mask."""
        objects, frames = (batch.areas >= self.rois.min_area).nonzero(as_tuple=True)
        objects, frames = objects.repeat(self.rois.jittered), frames.repeat(self.rois.jittered)
        owners = batch.clip[objects].tolist()
        boxes = jitter_boxes(batch.boxes[objects, frames], owners, batch.generators, self.rois.jitter)
        rows = batch.frame_rows(objects, frames)
        kept = [rows.new_zeros(0)]
        for row in range(len(batch.images)):
            here = (rows == row).nonzero()[:, 0]
            turn = here.roll(-(row % batch.num_frames))  # the objects take turns over the frames
            kept.append(turn[: self.rois.max_per_image])
        index = torch.cat(kept)
        parts = [(objects[index], frames[index], boxes[index])]
        if self.rois.proposals:
            parts.append(self._proposals(batch, features, rows[index]))
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    @torch.no_grad()
    def _proposals(
        self, batch: ClipBatch, features: FrameFeatures, taken: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        found: list[tuple[int, int, Tensor]] = []
        for row, proposals in enumerate(self.network.propose(features, max_proposals=100)):
            clip, frame = divmod(row, batch.num_frames)
            here = ((batch.clip == clip) & (batch.areas[:, frame] >= self.rois.min_area)).nonzero()[:, 0]
            if not len(here) or not len(proposals):
                continue
            iou, best = box_iou(proposals.boxes.float(), batch.boxes[here, frame]).max(dim=1)
            room = self.rois.max_per_image - int((taken == row).sum())
            for position in (iou >= self.rois.min_iou).nonzero()[:, 0][: max(0, room)]:
                found.append(
                    (int(here[best[position]]), frame, at_least(proposals.boxes[position][None], MIN_SIDE))
                )
        device = batch.clip.device
        objects = torch.tensor([o for o, _, _ in found], dtype=torch.long, device=device)
        frames = torch.tensor([f for _, f, _ in found], dtype=torch.long, device=device)
        boxes = torch.cat([b.float() for _, _, b in found]) if found else batch.boxes.new_zeros(0, 4)
        return objects, frames, boxes

    def remp_loss(self, batch: ClipBatch, features: FrameFeatures, state: RecurrentState) -> Tensor:
        """L_remp: the mean over objects and steps of the recurrence, unrolled from ``state``."""
        total, count = features.coarse.sum() * 0, 0
        if len(state.objects):
            losses = [loss for _, loss in unroll(self.network, self.recurrence, batch, features, state)]
            total, count = total + torch.stack(losses).sum(), len(losses) * len(state.objects)
        return mean_over_processes(total, count)

    def begin(self, batch: ClipBatch, features: FrameFeatures) -> RecurrentState:
        """The recurrence in the first frame's truth, of the objects that show there."""
        objects = (batch.areas[:, 0] >= self.rois.min_area).nonzero()[:, 0]
        return begin_from_truth(self.network, self.recurrence, batch, features, objects)

    @torch.no_grad()
    def rollout(self, batch: ClipBatch) -> tuple[ClipBatch, RecurrentState | None]:
        """``recurrence.rollout`` fewer frames of the batch, less the templates' own where they have one, and how the
        recurrence arrives in the first of them; None if it begins there in the truth.
        """
        longest, lead = self.recurrence.rollout, int(self.recurrence.template_frame)
        if batch.num_frames - lead - longest < 2:
            raise ConfigError(
                f"model.recurrence.rollout={longest} leaves no step to learn from in clips of {batch.num_frames} frames"
                + (", of which the first is the templates'" if lead else "")
            )
        steps = int(torch.randint(longest + 1, (), generator=batch.generators[0])) if longest else 0
        begin = lead + steps
        rest = batch.window(begin, batch.num_frames - longest + steps)
        if begin == 0:
            return rest, None
        share = self.recurrence.found_starts
        if share and torch.rand((), generator=batch.generators[0]) < share:
            return rest, self.found(batch, begin)
        way = batch.window(lead, begin + 1)
        features = self.network.extract_features(way.images)
        state = self.begin(way, features)
        if lead:
            state = with_templates_of(self.known(batch), state)
        if len(state.objects) and steps:
            *_, (state, _) = unroll(self.network, self.recurrence, way, features, state)
        return rest, state

    def known(self, batch: ClipBatch) -> RecurrentState:
        """The objects of frame 0, from their truth."""
        first = batch.window(0, 1)
        return self.begin(first, self.network.extract_features(first.images))

    @torch.no_grad()
    def found(self, batch: ClipBatch, frame: int) -> RecurrentState | None:
        """How the recurrence begins in ``frame`` with the masks found there of the objects of frame 0."""
        there = batch.window(frame, frame + 1)
        features = self.network.extract_features(there.images)
        return begin_from_found(self.network, self.recurrence, there, features, self.known(batch))

    def after_step(self) -> None:
        super().after_step()
        self.oim.update_collected()


def true_boxes(batch: ClipBatch, min_area: float) -> list[Tensor]:
    """The boxes (K, 4) of the objects that show in every image of the batch."""
    rows = []
    for row in range(len(batch.images)):
        clip, frame = divmod(row, batch.num_frames)
        here = (batch.clip == clip) & (batch.areas[:, frame] >= min_area)
        rows.append(batch.boxes[here, frame])
    return rows
