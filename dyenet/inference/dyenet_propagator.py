"""DyeNet's heads behind the ``Propagator``: batches of RoIs over rows of different frames (Sec. 3.2).

Everything handed out lies on the CPU; features and hidden states stay on the network's device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dyenet.inference.config import PropagationConfig
from dyenet.inference.features import FeatureStore
from dyenet.inference.matched_boxes import averaging, matched_boxes
from dyenet.inference.rois import in_frame, roi_of
from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.templates import nearest_given
from dyenet.models.competition import share_out
from dyenet.models.dyenet import DyeNet
from dyenet.models.flow import FlowSource
from dyenet.models.warping import motion_contrast, photometric_errors, warp_hidden, warped_boxes
from dyenet.structures import (
    KEPT_DTYPE,
    FrameFeatures,
    MaskPatches,
    PropagationState,
    StartingPoint,
    Template,
    TemplateFeatures,
    cell_centres,
    clip_boxes,
    enlarge_boxes,
)


class DyeNetPropagator:
    """The ``Propagator``: Re-MP along the flow, and the mask network to recover a mask in a box."""

    def __init__(
        self,
        network: DyeNet,
        features: FeatureStore,
        flow: FlowSource,
        config: PropagationConfig,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._network, self._features, self._flow, self._config = network, features, flow, config
        self._device = next(network.parameters()).device
        self._size = network.mask_size
        self._stopwatch = stopwatch or Stopwatch()
        self._given: dict[tuple[int, int], StartingPoint] = {}  # by object id and frame, as what follows
        self._looks: dict[tuple[int, int], TemplateFeatures] = {}
        self._known: dict[tuple[int, int], TemplateFeatures] = {}
        self._boxes: dict[tuple[int, int], Tensor] = {}  # by frame and count

    def meet(self, given: Sequence[StartingPoint]) -> None:
        """The given masks, of which those of the other objects are every object's rivals."""
        self._given, self._looks, self._known = {(p.object_id, p.frame): p for p in given}, {}, {}
        self._boxes = {}

    @torch.no_grad()
    def matched_boxes(self, frame: int, count: int) -> Tensor:
        """(M, 4): where a frame looks like the nearest given mask of each object, at most ``count`` boxes of each."""
        if (frame, count) not in self._boxes:
            features = self._features.get(frame)
            nearest = nearest_given(self._given.values(), frame).values()
            found = [self._boxes_like(point, features, count) for point in nearest]
            boxes = clip_boxes(torch.cat(found), features.image_size)
            self._boxes[frame, count] = boxes[_sides(boxes) >= self._network.stride]
        return self._boxes[frame, count]

    def _boxes_like(self, point: StartingPoint, features: FrameFeatures, count: int) -> Tensor:
        box = point.patch.tight_boxes().float()
        extent = self._enlarged(box, features.image_size)[0]
        step, stride = averaging(extent, self._network.stride), self._network.stride
        template = self._template(point)
        log_odds = self._network.match(F.avg_pool2d(features.coarse, step, ceil_mode=True), template)
        assert log_odds is not None
        return matched_boxes(
            log_odds[0],
            template.cells[0, -1],
            extent,
            box[0],
            stride=step * stride,
            first=(step - 1) / 2 * stride,  # cell k of the features is centred on pixel k stride
            count=count,
        ).cpu()

    @torch.no_grad()
    def begin(self, starting_points: Sequence[StartingPoint]) -> PropagationState:
        """h_i in the starting masks' enlarged boxes (readings D2, D10, D28)."""
        boxes, roi, probabilities, masks = self._enter(starting_points)
        if self._config.starting_mask == "binary":
            probabilities = (probabilities >= 0.5).float()
            masks = self._pooled(probabilities).to(roi)
        template = self._templates([p.template or p for p in starting_points])
        sides = torch.cat([_sides(p.patch.tight_boxes()) for p in starting_points]).float().cpu()
        return PropagationState(
            [p.frame for p in starting_points],
            [p.object_id for p in starting_points],
            _kept(boxes, probabilities),
            self._network.begin(roi, masks),
            template,
            least_side=(sides / 2).clamp(max=self._config.min_side),
        )

    @torch.no_grad()
    def step(self, state: PropagationState, targets: Sequence[int]) -> PropagationState:
        """y_(j-1) and h_(j-1) warped to frame j, then Eqs. 1 and 2; one batch for all rows."""
        assert state.memory is not None
        assert state.least_side is not None
        groups: dict[tuple[int, int], list[int]] = {}
        for row, pair in enumerate(zip(state.frames, targets, strict=True)):
            groups.setdefault(pair, []).append(row)
        order: list[int] = []
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor, *tuple[Tensor | None, ...]]] = []
        for (source, target), rows in groups.items():
            flows, which = self._flows(state.patches[rows], source, target)
            boxes, found = self._locate(state.patches[rows], state.least_side[rows], _each(flows, which))
            if found:
                members = [rows[k] for k in found]
                order += members
                parts.append(
                    self._inputs(state.select(members), boxes[found], flows, which[found], source, target)
                )
        new_boxes = torch.zeros(len(state), 4)
        probabilities = torch.zeros(len(state), self._size, self._size)
        memory = torch.zeros_like(state.memory)
        if order:
            boxes, roi, hidden, masks = (torch.cat([part[i] for part in parts]) for i in range(4))  # type: ignore[misc]
            fine, pixels, contrast = (_joined([part[i] for part in parts]) for i in (4, 5, 6))
            template = None if state.template is None else state.template[order]
            output = self._network.propagate(roi, hidden, masks, fine, pixels, template, contrast)
            new_boxes[order] = boxes.cpu()
            probabilities[order] = output.logits.float().sigmoid().cpu()
            memory[order] = output.hidden.to(memory.dtype)
            warped = torch.zeros_like(probabilities)
            warped[order] = masks.float().cpu()
            share = self._share(MaskPatches(new_boxes, probabilities), warped, targets, state.object_ids)
            probabilities *= share
            memory = self._network.keep_share(memory, share)
            state = self._remember(state, targets, order, roi, probabilities, fine)
        patches = _kept(new_boxes, probabilities)
        return replace(state, frames=list(targets), patches=patches, memory=memory)

    def _share(
        self, patches: MaskPatches, warped: Tensor, frames: Sequence[int], object_ids: Sequence[int]
    ) -> Tensor:
        """(R, s, s): what the masks keep of what the network gave them."""
        share = torch.ones_like(patches.probabilities)
        if self._config.competition:
            share = share_out(patches, frames, object_ids)
        return share * self._main_parts(patches.probabilities * share, warped)

    def _remember(
        self,
        state: PropagationState,
        targets: Sequence[int],
        order: Sequence[int],
        roi: Tensor,
        probabilities: Tensor,
        fine: Tensor | None,
    ) -> PropagationState:
        """The state with what the new masks show remembered, where it is time; ``roi`` and ``fine`` are of the rows
        ``order``.
        """
        every = self._config.recent_step
        if every is None or state.template is None:
            return state
        found = [k for k, row in enumerate(order) if targets[row] % every == 0]
        if not found:
            return state
        rows = [order[k] for k in found]
        masks = probabilities[rows].to(roi)
        finer = None if fine is None else fine[found]
        return replace(state, template=self._network.remember(state.template, rows, roi[found], masks, finer))

    @torch.no_grad()
    def recover(self, frame: int, boxes: Tensor, templates: Sequence[Template]) -> MaskPatches:
        """The main instance's mask in every box; the paper's mask network sees no template, pixel matching does."""
        roi = roi_of(self._network, self._features.get(frame), boxes)
        matched = self._network.match(roi, self._templates(templates))
        probabilities = self._network.segment(roi, matched).float().sigmoid()[:, None]
        if probabilities.shape[-1] != self._size:
            probabilities = F.interpolate(probabilities, size=self._size, mode="bilinear")
        probabilities = probabilities[:, 0].cpu()
        return _kept(boxes.cpu(), probabilities * self._main_parts(probabilities))

    def _enter(self, points: Sequence[StartingPoint | Template]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The enlarged boxes (R, 4) of masks in their frames, their RoIs, and the masks there, (R, sm, sm) and
        (R, m, m).
        """
        boxes, rois = [], []
        for point in points:
            features = self._features.get(point.frame)
            boxes.append(self._enlarged(point.patch.tight_boxes(), features.image_size))
            rois.append(roi_of(self._network, features, boxes[-1]))
        roi, patches = torch.cat(rois), MaskPatches.cat([p.patch.to("cpu", torch.float32) for p in points])
        probabilities = patches.sample(cell_centres(torch.cat(boxes), self._size))
        return torch.cat(boxes), roi, probabilities, self._pooled(probabilities).to(roi)

    def _pooled(self, masks: Tensor) -> Tensor:
        """(R, sm, sm) -> (R, m, m)."""
        return F.avg_pool2d(masks[:, None], self._network.mask_scale)[:, 0]

    def _main_parts(self, probabilities: Tensor, warped: Tensor | None = None) -> Tensor:
        config = self._config
        return main_parts(probabilities, config.min_component_ratio, config.new_component_ratio, warped)

    def _templates(self, points: Sequence[StartingPoint | Template]) -> TemplateFeatures | None:
        """What the network compares boxes with, if it does; a row each."""
        if self._network.pixel_matching is None and self._network.refinement is None:
            return None
        return TemplateFeatures.cat([self._template(point) for point in points])

    def _template(self, point: StartingPoint | Template) -> TemplateFeatures:
        """One row of the above; those of given masks are kept, since every frame asks for the same few."""
        key = (point.object_id, point.frame)
        given = self._given.get(key)
        if given is None or given.patch is not point.patch:  # such as the guide of a recovery
            return self._against_rivals(point)
        if key not in self._known:
            self._known[key] = self._against_rivals(point)
        return self._known[key]

    def _against_rivals(self, point: StartingPoint | Template) -> TemplateFeatures:
        return self._network.against(self._look_at(point), self._rivals(point.object_id, point.frame))

    def _rivals(self, object_id: int, frame: int) -> list[TemplateFeatures]:
        """Of every other object the given mask nearest to ``frame``, each looked at once."""
        if not self._config.rivals:
            return []
        looks = []
        for other, point in nearest_given(self._given.values(), frame).items():
            if other != object_id:
                key = (other, point.frame)
                if key not in self._looks:
                    self._looks[key] = self._look_at(point)
                looks.append(self._looks[key])
        return looks

    def _look_at(self, point: StartingPoint | Template) -> TemplateFeatures:
        boxes, roi, probabilities, _ = self._enter([point])
        features = self._features.get(point.frame)
        fine = self._network.fine_roi_features(features, *in_frame(features, boxes))
        template = self._network.template(roi, probabilities.to(roi), fine)
        assert template is not None
        return template

    def _flows(self, patches: MaskPatches, source: int, target: int) -> tuple[Tensor, Tensor]:
        """F_{target->source} as (K, 2, H, W), the frames' own first, and (R,): which of them each object has."""
        flows, which = [self._flow_between(target, source)], torch.zeros(len(patches), dtype=torch.long)
        margin = self._config.displacement_margin
        if margin is not None:
            with self._stopwatch("flow"):
                found = self._flow.of_objects(target, source, patches.to("cpu"), margin)
                for row, own in enumerate(found):
                    if own is not None:
                        which[row] = len(flows)
                        flows.append(own.to(self._device))
        return torch.stack(flows), which.to(self._device)

    def _locate(self, patches: MaskPatches, least_side: Tensor, flow: Tensor) -> tuple[Tensor, list[int]]:
        """The RoIs, (R, 4), where ``flow`` (R, 2, H, W) takes masks, and the rows whose warped mask is large enough to
        have one.
        """
        patches = patches.to(self._device, torch.float32)
        if self._config.recurrent_mask == "binary":
            patches = MaskPatches(patches.boxes, (patches.probabilities >= 0.5).float())
        tight = warped_boxes(patches, flow)
        smallest = _sides(tight)
        found = torch.nonzero((smallest > 0) & (smallest >= least_side.to(smallest)))[:, 0].tolist()
        return self._enlarged(tight, (flow.shape[-2], flow.shape[-1])), found

    def _inputs(
        self, state: PropagationState, boxes: Tensor, flows: Tensor, which: Tensor, source: int, target: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, *tuple[Tensor | None, ...]]:
        """The RoIs, x_j, h_((j-1)->j), y_((j-1)->j), the finer x_j, the pixels with their errors and the contrast of
        motion, of rows that all go from ``source`` to ``target``, each along ``which`` of the ``flows``.
        """
        features = self._features.get(target)
        boxes, rows = in_frame(features, boxes)
        flow = _each(flows, which)
        assert state.memory is not None
        before = state.patches.boxes.to(boxes)
        hidden = warp_hidden(state.memory, before, boxes, flow)
        masks = warp_hidden(state.patches.probabilities[:, None].to(boxes), before, boxes, flow)[:, 0].to(
            hidden
        )
        roi = self._network.roi_features(features, boxes, rows)
        fine = self._network.fine_roi_features(features, boxes, rows)
        pixels = self._network.pixels(features, boxes, which, self._errors(features, source, flows))
        contrast = None if self._network.motion is None else motion_contrast(flow, boxes, masks.float())
        return boxes, roi, hidden, masks, fine, pixels, contrast

    def _errors(self, features: FrameFeatures, source: int, flows: Tensor) -> Tensor | None:
        """(K, 1, H, W): the photometric errors of a frame, with its ``features``, to what ``source`` shows."""
        before = self._features.get(source).pixels
        if features.pixels is None or before is None:
            return None
        return torch.cat([photometric_errors(features.pixels, before, flow[None]) for flow in flows])

    def _flow_between(self, source: int, target: int) -> Tensor:
        with self._stopwatch("flow"):
            return self._flow.get(source, target).to(self._device)

    def _enlarged(self, boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
        return enlarge_boxes(boxes, self._config.box_enlargement, image_size)


def _sides(boxes: Tensor) -> Tensor:
    """(R, 4) -> (R,): the shorter sides."""
    return (boxes[:, 2:] - boxes[:, :2]).amin(dim=1)


def _each(flows: Tensor, which: Tensor) -> Tensor:
    """(K, 2, H, W) and (R,) -> (R, 2, H, W), no copy where all are the same."""
    return flows[which] if len(flows) > 1 else flows.expand(len(which), -1, -1, -1)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """All of ``parts``, or none of them."""
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None


def main_parts(
    probabilities: Tensor, min_ratio: float, new_ratio: float = 0.0, warped: Tensor | None = None
) -> Tensor:
    """(R, s, s): 0 in connected parts (of cells of 0.5 and more) that do not count, else 1.

    These are the parts below ``min_ratio`` of the mask's largest one, and below ``new_ratio`` those of which less than
    half is in the ``warped`` mask (R, s, s).
    """
    kept = torch.ones_like(probabilities)
    if not min_ratio and not new_ratio:
        return kept
    for row, mask in enumerate((probabilities >= 0.5).numpy()):
        count, labels, about, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        if count <= 2:
            continue
        areas = about[1:, cv2.CC_STAT_AREA]
        dropped = areas < min_ratio * areas.max()
        if warped is not None:
            known = np.bincount(labels[warped[row].numpy() >= 0.5], minlength=count)[1:]
            dropped |= (areas < new_ratio * areas.max()) & (2 * known < areas)
        kept[row] = torch.from_numpy(~np.isin(labels, np.flatnonzero(dropped) + 1))
    return kept


def _kept(boxes: Tensor, probabilities: Tensor) -> MaskPatches:
    return MaskPatches(boxes.cpu(), probabilities.to("cpu", KEPT_DTYPE))
