"""The recurrence of L_remp: Re-MP unrolled over the frames of a clip (DyeNet Secs. 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from dyenet.models.competition import share_out
from dyenet.models.dyenet import DyeNet
from dyenet.models.warping import motion_contrast, photometric_errors, warp_hidden, warped_boxes
from dyenet.structures import FrameFeatures, MaskPatches, TemplateFeatures, cell_centres, enlarge_boxes
from dyenet.training.batch import MIN_SIDE, ClipBatch, at_least, jitter_boxes


@dataclass(frozen=True, kw_only=True)
class RecurrenceConfig:
    """How Re-MP is unrolled (reading D21).

    * ``box_source``: boxes follow the predicted masks, falling back to the true box below an IoU of ``fallback_iou``,
      or are the true ones; sides are enlarged by ``enlargement`` as at test time, and moved by ``jitter``.
    * ``deform_start``: the starting mask is eroded, dilated or left, at random.
    * ``rollout``: the first 0 to this many steps, drawn per batch, run without gradients, and the losses are those of
      the clip's frames behind them, this many fewer than it has: the network then also starts from its own masks with
      their errors, as it does many frames after the given one. 0 is the paper's.
    * ``found_starts``: this share of the batches starts not from the first frame's truth but, up to ``rollout``
      frames behind it, from masks that the mask network finds in boxes with sides moved by up to ``found_jitter``,
      as retrieval does: what Re-MP has to mend at test time. 0 is the paper's.
    * ``template_frame``: the first frame of a clip gives the templates alone, and the recurrence begins in the second,
      from its truth or from masks found there: for clips whose first frame is far from the others (``distant_first``).
    * ``soft_targets``: the truth, also of the starting mask, is the share of each cell that is the object's instead of
      0 or 1 (reading D20), which loses the edges within a cell.
    * ``competition``: the objects of a clip share out what they show after every step, as at test time.
    * ``dice_weight``: adds a soft Dice loss to the binary cross entropy; 0 is the paper's.
    """

    box_source: Literal["predicted", "truth"] = "predicted"
    fallback_iou: float = 0.3
    enlargement: float = 0.15
    jitter: float = 0.05
    deform_start: bool = True
    rollout: int = 0
    found_starts: float = 0.0
    found_jitter: float = 0.35
    template_frame: bool = False
    soft_targets: bool = False
    dice_weight: float = 0.0
    competition: bool = False


@dataclass(frozen=True)
class RecurrentState:
    """Where the recurrence stands in one frame: ``objects`` (R,) are rows of the batch, ``hidden`` (R, d', m, m),
    ``masks`` (R, sm, sm) of probabilities in ``boxes`` (R, 4), ``template`` what pixel matching compares with.
    """

    objects: Tensor
    hidden: Tensor
    masks: Tensor
    boxes: Tensor
    template: TemplateFeatures | None


def begin_from_truth(
    network: DyeNet, config: RecurrenceConfig, batch: ClipBatch, features: FrameFeatures, objects: Tensor
) -> RecurrentState:
    """The state in frame 0 of the clips, from the true masks of ``objects``."""
    owners = batch.clip[objects].tolist()
    boxes = _jittered(config, batch, batch.boxes[objects, 0], owners)
    masks, _ = batch.targets(
        objects, torch.zeros_like(objects), boxes, network.mask_size, soft=config.soft_targets
    )
    scale = network.mask_scale
    if config.deform_start and len(objects):
        masks = deform_masks(masks, owners, batch.generators, cells=scale)
    rows = batch.frame_rows(objects, 0)
    roi = network.roi_features(features, boxes, rows)
    coarse = F.avg_pool2d(masks[:, None], scale)[:, 0]
    template = network.template(roi, masks, network.fine_roi_features(features, boxes, rows))
    if template is not None and len(objects):
        template = _among_rivals(network, template, owners)
    return RecurrentState(objects, network.begin(roi, coarse), masks, boxes, template)


def _among_rivals(network: DyeNet, template: TemplateFeatures, owners: Sequence[int]) -> TemplateFeatures:
    """Every object's template against those of the other objects of its clip."""
    rows = [template[[k]] for k in range(len(owners))]
    return TemplateFeatures.cat(
        [
            network.against(
                row, [o for o, clip in zip(rows, owners, strict=True) if clip == owner and o is not row]
            )
            for row, owner in zip(rows, owners, strict=True)
        ]
    )


def with_templates_of(known: RecurrentState, state: RecurrentState) -> RecurrentState:
    """Those objects of ``state`` that ``known``, in another frame, has the templates of, with these."""
    row = {k: i for i, k in enumerate(known.objects.tolist())}
    both = [i for i, k in enumerate(state.objects.tolist()) if k in row]
    template = known.template
    return RecurrentState(
        state.objects[both],
        state.hidden[both],
        state.masks[both],
        state.boxes[both],
        None if template is None else template[[row[k] for k in state.objects[both].tolist()]],
    )


@torch.no_grad()
def begin_from_found(
    network: DyeNet,
    config: RecurrenceConfig,
    batch: ClipBatch,
    features: FrameFeatures,
    known: RecurrentState,
) -> RecurrentState | None:
    """The state in frame 0 of ``batch``, from masks found there in boxes, of those objects of ``known``, which has
    their templates, that show; None if none does.
    """
    shown = batch.areas[known.objects, 0] > 0
    objects = known.objects[shown]
    if not len(objects):
        return None
    template = None if known.template is None else known.template[shown]
    owners = batch.clip[objects].tolist()
    found = jitter_boxes(batch.boxes[objects, 0], owners, batch.generators, config.found_jitter)
    rows = batch.frame_rows(objects, 0)
    roi = network.roi_features(features, found, rows)
    probabilities = network.segment(roi, network.match(roi, template)).float().sigmoid()
    patches = MaskPatches(found, probabilities)
    tight = torch.where((patches.areas() > 0)[:, None], patches.tight_boxes(), found)
    boxes = at_least(enlarge_boxes(tight, config.enlargement, batch.image_size), MIN_SIDE)
    masks = patches.sample(cell_centres(boxes, network.mask_size))
    coarse = F.avg_pool2d(masks[:, None], network.mask_scale)[:, 0]
    hidden = network.begin(network.roi_features(features, boxes, rows), coarse)
    return RecurrentState(objects, hidden, masks, boxes, template)


def unroll(
    network: DyeNet,
    config: RecurrenceConfig,
    batch: ClipBatch,
    features: FrameFeatures,
    state: RecurrentState,
) -> Iterator[tuple[RecurrentState, Tensor]]:
    """From ``state`` in frame 0 through the other frames: the state in each, and the losses (R,) of its masks."""
    objects, owners = state.objects, batch.clip[state.objects].tolist()
    errors = _errors(batch, features)
    for t in range(1, batch.num_frames):
        flow = batch.flow[batch.clip[objects], t - 1]
        boxes = _next_boxes(config, batch, owners, t, state, flow)
        rows = batch.frame_rows(objects, t)
        roi = network.roi_features(features, boxes, rows)
        warped = warp_hidden(state.masks[:, None], state.boxes, boxes, flow)[:, 0]
        output = network.propagate(
            roi,
            warp_hidden(state.hidden, state.boxes, boxes, flow),  # no gradient to the boxes
            warped,
            network.fine_roi_features(features, boxes, rows),
            network.pixels(features, boxes, rows, errors),
            state.template,
            None if network.motion is None else motion_contrast(flow, boxes, warped.detach()),
        )
        logits = output.logits.float()
        at_t = torch.full_like(objects, t)
        truth, valid = batch.targets(objects, at_t, boxes, logits.shape[-1], soft=config.soft_targets)
        masks, hidden = logits.sigmoid(), output.hidden
        if config.competition:
            left = share_out(MaskPatches(boxes, masks.detach()), owners, objects.tolist())
            masks, hidden = masks * left, network.keep_share(hidden, left)
        state = RecurrentState(objects, hidden, masks, boxes, state.template)
        yield state, mask_losses(logits, truth, valid, config.dice_weight)


@torch.no_grad()
def _errors(batch: ClipBatch, features: FrameFeatures) -> Tensor | None:
    """The photometric errors (B*T, 1, H, W) of every frame, 0 of the first of a clip; None where nobody asks."""
    if features.pixels is None:
        return None
    per_clip = features.pixels.unflatten(0, (-1, batch.num_frames))
    now, before = per_clip[:, 1:].flatten(0, 1), per_clip[:, :-1].flatten(0, 1)
    errors = photometric_errors(now, before, batch.flow.flatten(0, 1))  # (B*(T-1), 1, H, W)
    return F.pad(errors.unflatten(0, (-1, batch.num_frames - 1)), (0, 0, 0, 0, 0, 0, 1, 0)).flatten(0, 1)


def _jittered(config: RecurrenceConfig, batch: ClipBatch, boxes: Tensor, owners: Sequence[int]) -> Tensor:
    moved = jitter_boxes(boxes, owners, batch.generators, config.jitter)
    return at_least(enlarge_boxes(moved, config.enlargement, batch.image_size), MIN_SIDE)


@torch.no_grad()
def _next_boxes(
    config: RecurrenceConfig,
    batch: ClipBatch,
    owners: Sequence[int],
    t: int,
    state: RecurrentState,
    flow: Tensor,
) -> Tensor:
    """The boxes of frame t: around the warped masks, or the truth where those went astray (reading D21)."""
    truth, visible = batch.boxes[state.objects, t], batch.areas[state.objects, t] > 0
    jittered = _jittered(config, batch, truth, owners)
    if config.box_source == "truth":
        return torch.where(visible[:, None], jittered, state.boxes)
    warped = warped_boxes(MaskPatches(state.boxes, state.masks), flow)
    found = (warped[:, 2:] > warped[:, :2]).all(dim=1)
    agree = box_iou(warped, truth).diagonal() >= config.fallback_iou
    own = at_least(enlarge_boxes(warped, config.enlargement, batch.image_size), MIN_SIDE)
    boxes = torch.where((visible & ~agree)[:, None], jittered, own)
    return torch.where((visible | found)[:, None], boxes, state.boxes)


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
    """Each of ``masks`` (R, s, s), in [0, 1], is eroded or dilated by up to ``cells`` cells, mostly by less than half
    of them or not at all. An erosion that would empty a mask is left undone.
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
    return result
