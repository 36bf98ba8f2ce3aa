"""Joint training of DyeNet: L = L_reid + lambda (L_mask + L_remp) (Sec. 3.3, "Training Details")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from dyenet.config import build
from dyenet.errors import ConfigError
from dyenet.models.dyenet import DyeNet
from dyenet.models.oim import OIMLoss
from dyenet.models.warping import warp_hidden, warped_boxes
from dyenet.registry import MODELS
from dyenet.structures import Clip, FrameFeatures, MaskPatches, enlarge_boxes
from dyenet.training.batch import MIN_SIDE, ClipBatch, at_least, jitter_boxes
from dyenet.training.stage import Stage, mean_over_processes


@dataclass(frozen=True, kw_only=True)
class RoIConfig:
    """The boxes of L_reid and L_mask (facts D20): true boxes, each ``jittered`` times with sides moved by
    ``jitter``, and RPN proposals with an IoU of ``min_iou`` or more, at most ``max_per_image``.
    """

    jittered: int = 1
    jitter: float = 0.1
    proposals: bool = True
    min_iou: float = 0.5
    max_per_image: int = 16
    min_area: float = 32.0


@dataclass(frozen=True, kw_only=True)
class RecurrenceConfig:
    """The recurrence of L_remp (facts D21): boxes follow the predicted masks (``box_source`` "predicted"), falling
    back to the true box below an IoU of ``fallback_iou``, or are the true ones; sides enlarged by ``enlargement``
    as at test time, and moved by ``jitter``. The starting mask is eroded, dilated or left, at random
    (``deform_start``). ``dice_weight`` adds a soft Dice loss to the binary cross entropy; 0 is the paper's.
    """

    box_source: Literal["predicted", "truth"] = "predicted"
    fallback_iou: float = 0.3
    enlargement: float = 0.15
    jitter: float = 0.05
    deform_start: bool = True
    dice_weight: float = 0.0


@MODELS.register_module()
class JointTraining(Stage):
    """Trains all of DyeNet at once on clips; gradients of L_remp reach the trunk through time.

    ``num_identities`` is the length of the OIM table; ``oim`` holds its other arguments. ``loss_weight`` is the
    paper's lambda (0 leaves L_mask and L_remp out altogether), ``reid_weight`` scales L_reid; ``rpn_weight`` above 0
    trains the RPN along (the paper trains it apart).
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
        if rpn_weight == 0:
            self.network.rpn.requires_grad_(False)

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        batch = ClipBatch.collate(clips, next(self.network.parameters()).device)
        features = self.network.extract_features(batch.images)
        losses = self.reid_and_mask_losses(batch, features)
        if self.loss_weight > 0:
            losses["loss_remp"] = self.loss_weight * self.remp_loss(batch, features)
        if self.rpn_weight > 0:
            boxes = true_boxes(batch, self.rois.min_area)
            for name, value in self.network.rpn.losses(features.coarse, batch.image_size, boxes).items():
                losses[f"{name}_rpn"] = self.rpn_weight * value
        return losses

    def reid_and_mask_losses(self, batch: ClipBatch, features: FrameFeatures) -> dict[str, Tensor]:
        """L_reid over the identities of the RoIs, and L_mask, mean BCE over m x m and the RoIs (facts D19)."""
        objects, frames, boxes = self.sample_rois(batch, features)
        mask_sum = reid_sum = features.coarse.sum() * 0
        cells = reid_count = torch.zeros((), device=mask_sum.device)
        if len(objects):
            roi = self.network.roi_features(features, boxes, batch.frame_rows(objects, frames))
            if self.loss_weight > 0:
                logits = self.network.segment(roi).float()
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

    def remp_loss(self, batch: ClipBatch, features: FrameFeatures) -> Tensor:
        """L_remp: the mean over objects and steps of the recurrence, unrolled from the first frame's truth."""
        config, network = self.recurrence, self.network
        objects = (batch.areas[:, 0] >= self.rois.min_area).nonzero()[:, 0]
        total, count = features.coarse.sum() * 0, 0
        if len(objects):
            owners = batch.clip[objects].tolist()
            boxes = self._jittered(batch.boxes[objects, 0], owners, batch)
            start, _ = batch.targets(objects, torch.zeros_like(objects), boxes, network.mask_size)
            scale = network.propagation_head.fine_scale
            if config.deform_start:
                start = deform_masks(start, owners, batch.generators, cells=2 * scale)
            hidden = network.begin(
                network.roi_features(features, boxes, batch.frame_rows(objects, 0)),
                F.avg_pool2d(start[:, None], scale)[:, 0],
            )
            masks, patches = start, MaskPatches(boxes, start)
            for t in range(1, batch.num_frames):
                flow = batch.flow[batch.clip[objects], t - 1]
                target_boxes = self._next_boxes(batch, objects, owners, t, patches, flow)
                rows = batch.frame_rows(objects, t)
                output = network.propagate(
                    network.roi_features(features, target_boxes, rows),
                    warp_hidden(hidden, patches.boxes, target_boxes, flow),  # no gradient to the boxes
                    warp_hidden(masks[:, None], patches.boxes, target_boxes, flow)[:, 0],
                    network.fine_roi_features(features, target_boxes, rows),
                )
                at_t = torch.full_like(objects, t)
                truth, valid = batch.targets(objects, at_t, target_boxes, output.logits.shape[-1])
                total = total + mask_losses(output.logits.float(), truth, valid, config.dice_weight).sum()
                count += len(objects)
                hidden, masks = output.hidden, output.logits.float().sigmoid()
                patches = MaskPatches(target_boxes, masks.detach())
        return mean_over_processes(total, count)

    def _jittered(self, boxes: Tensor, owners: Sequence[int], batch: ClipBatch) -> Tensor:
        moved = jitter_boxes(boxes, owners, batch.generators, self.recurrence.jitter)
        return at_least(enlarge_boxes(moved, self.recurrence.enlargement, batch.image_size), MIN_SIDE)

    @torch.no_grad()
    def _next_boxes(
        self,
        batch: ClipBatch,
        objects: Tensor,
        owners: Sequence[int],
        t: int,
        patches: MaskPatches,
        flow: Tensor,
    ) -> Tensor:
        """The boxes of frame t: around the warped masks, or the truth where those went astray (facts D21)."""
        config = self.recurrence
        truth, visible = batch.boxes[objects, t], batch.areas[objects, t] > 0
        jittered = self._jittered(truth, owners, batch)
        if config.box_source == "truth":
            return torch.where(visible[:, None], jittered, patches.boxes)
        warped = warped_boxes(patches, flow)
        found = (warped[:, 2:] > warped[:, :2]).all(dim=1)
        agree = box_iou(warped, truth).diagonal() >= config.fallback_iou
        own = at_least(enlarge_boxes(warped, config.enlargement, batch.image_size), MIN_SIDE)
        boxes = torch.where((visible & ~agree)[:, None], jittered, own)
        return torch.where((visible | found)[:, None], boxes, patches.boxes)

    def after_step(self) -> None:
        self.oim.update_collected()
        if self.network.reid_head.pooled_norm is not None:
            self.network.reid_head.pooled_norm.update()


def true_boxes(batch: ClipBatch, min_area: float) -> list[Tensor]:
    """The boxes (K, 4) of the objects that show in every image of the batch."""
    rows = []
    for row in range(len(batch.images)):
        clip, frame = divmod(row, batch.num_frames)
        here = (batch.clip == clip) & (batch.areas[:, frame] >= min_area)
        rows.append(batch.boxes[here, frame])
    return rows


def mask_losses(logits: Tensor, target: Tensor, valid: Tensor, dice_weight: float) -> Tensor:
    """(R,): mean BCE over the valid cells of (R, s, s), plus ``dice_weight`` times a soft Dice loss."""
    cells = valid.flatten(1).sum(1).clamp(min=1)
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    loss = bce.flatten(1).sum(1) / cells
    if dice_weight > 0:
        inside = logits.sigmoid() * valid
        both = (inside * target).flatten(1).sum(1)
        smooth = 0.02 * target[0].numel()  # keeps the loss of an empty truth in bounds
        total = inside.flatten(1).sum(1) + (target * valid).flatten(1).sum(1)
        loss = loss + dice_weight * (1 - (2 * both + smooth) / (total + smooth))
    return loss


def deform_masks(
    masks: Tensor, owners: Sequence[int], generators: Sequence[torch.Generator], *, cells: int
) -> Tensor:
    """Each of ``masks`` (R, s, s) 0/1 is eroded or dilated by up to ``cells`` cells, mostly by less than half of them
    or not at all, and one in three has a disk added to it or cut out of it: masks are imperfect at a retrieved starting
    point and after many steps. What would empty a mask is left undone.
    """
    normal = torch.stack([torch.randn((), generator=generators[owner]) for owner in owners])
    draws = (0.4 * cells * normal).round().clamp(-cells, cells)
    result = masks.clone()
    for radius in range(1, cells + 1):
        size = 2 * radius + 1
        dilated = F.max_pool2d(masks[:, None], size, 1, radius)[:, 0]
        eroded = 1 - F.max_pool2d(1 - masks[:, None], size, 1, radius)[:, 0]
        result[draws == radius] = dilated[draws == radius]
        kept = eroded.flatten(1).any(1).cpu() & (draws == -radius)
        result[kept] = eroded[kept]
    for row, owner in enumerate(owners):
        chance, radius, x, y, sign = torch.rand(5, generator=generators[owner]).tolist()
        if chance < 1 / 3:
            place = (torch.arange(masks.shape[-1], device=masks.device) + 0.5) / masks.shape[-1]
            disk = (place[:, None] - y) ** 2 + (place - x) ** 2 < (0.08 + 0.17 * radius) ** 2
            worn = result[row].masked_fill(disk, float(sign < 2 / 3))
            if worn.any():
                result[row] = worn
    return result
