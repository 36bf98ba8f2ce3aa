"""DyeNet: one trunk, three heads, joined (Fig. 2). It remembers nothing of a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.errors import ConfigError
from dyenet.models.motion import MotionCue
from dyenet.models.pixel_matching import PixelMatching, recent_weights, template_weights
from dyenet.models.propagation_head import PropagationHead, PropagationOutput
from dyenet.models.proposals import ProposalNetwork, Proposals
from dyenet.models.refinement import SCALE, MaskRefinement
from dyenet.models.reid_head import ReIDHead
from dyenet.models.roi_align import roi_align
from dyenet.models.trunk import Trunk
from dyenet.registry import MODELS
from dyenet.structures import FrameFeatures, TemplateFeatures


@MODELS.register_module()
class DyeNet(nn.Module):
    """The parts are config blocks; channel counts are passed from the trunk to the heads.

    ``patch_size`` is m, the side of a RoI in cells (28 in the paper). ``pixel_matching``, a block of ``PixelMatching``,
    is not in the paper: the masks of both heads then also hear where a RoI looks like a template of the object. Nor are
    ``refinement``, a block of ``MaskRefinement``, and ``motion``, which goes with it, a block of ``MotionCue``.
    """

    stride = 8

    def __init__(
        self,
        *,
        trunk: dict[str, Any],
        rpn: dict[str, Any],
        reid_head: dict[str, Any],
        propagation_head: dict[str, Any],
        pixel_matching: dict[str, Any] | None = None,
        refinement: dict[str, Any] | None = None,
        motion: dict[str, Any] | None = None,
        patch_size: int = 28,
    ) -> None:
        super().__init__()
        self.trunk: Trunk = MODELS.build(trunk)
        channels, fine_channels = self.trunk.out_channels, self.trunk.fine_channels
        self.rpn: ProposalNetwork = MODELS.build({"in_channels": channels, **rpn})
        self.reid_head: ReIDHead = MODELS.build({"in_channels": channels, **reid_head})
        self.propagation_head: PropagationHead = MODELS.build(
            {
                "in_channels": channels,
                "fine_channels": fine_channels,
                "matched_channels": int(pixel_matching is not None),
                **propagation_head,
            }
        )
        self.pixel_matching: PixelMatching | None = (
            None if pixel_matching is None else MODELS.build({"in_channels": channels, **pixel_matching})
        )
        self.refinement: MaskRefinement | None = (
            None if refinement is None else MODELS.build({"fine_channels": fine_channels, **refinement})
        )
        if refinement is not None and self.propagation_head.fine_scale == 1:
            raise ConfigError(
                "model.refinement goes on from the finer output; set propagation_head.fine_scale=2"
            )
        self.motion: MotionCue | None = None
        if motion is not None:
            if self.refinement is None:
                raise ConfigError("model.motion goes with model.refinement; set both or neither")
            widths = {"roi_channels": channels, "refined_channels": self.refinement.channels}
            self.motion = MODELS.build({**widths, "cells": patch_size, **motion})
        self.patch_size = patch_size
        self.mask_scale = self.propagation_head.fine_scale * (1 if refinement is None else SCALE)
        self.embedding_dim = self.reid_head.embedding_dim

    @property
    def mask_size(self) -> int:
        """Cells per side, s m with s = ``mask_scale``, of the masks that propagation gives: m, or finer."""
        return self.patch_size * self.mask_scale

    def extract_features(self, images: Tensor) -> FrameFeatures:
        """(B, 3, H, W) RGB in 0..255, uint8 or float -> the features of B frames."""
        coarse, fine = self.trunk(images)
        height, width = images.shape[-2:]
        fine = fine if self.propagation_head.fine_scale > 1 else None
        pixels = None if self.refinement is None else ((images.float() - 127.5) / 64).to(coarse.dtype)
        return FrameFeatures(coarse, fine, (height, width), pixels)

    def propose(
        self, features: FrameFeatures, *, max_proposals: int = 100, nms_iou: float = 0.7
    ) -> list[Proposals]:
        """Candidate boxes of every frame, highest objectness first."""
        return self.rpn(features.coarse, features.image_size, max_proposals=max_proposals, nms_iou=nms_iou)

    def roi_features(self, features: FrameFeatures, boxes: Tensor, rows: Tensor) -> Tensor:
        """RoIAlign of ``boxes`` (R, 4) in frames ``rows`` (R,) of the batch -> (R, C, m, m)."""
        return _roi_align(features.coarse, boxes, rows, self.patch_size, 1 / self.stride)

    def fine_roi_features(self, features: FrameFeatures, boxes: Tensor, rows: Tensor) -> Tensor | None:
        """The same from the 1/4 map, (R, Cf, fm, fm) with the head's ``fine_scale`` f; None unless its finer output is
        on.
        """
        if features.fine is None:
            return None
        size = self.patch_size * self.propagation_head.fine_scale
        return _roi_align(features.fine, boxes, rows, size, 2 / self.stride)

    def pixels(
        self, features: FrameFeatures, boxes: Tensor, rows: Tensor, errors: Tensor | None
    ) -> Tensor | None:
        """The frame itself and its photometric ``errors`` (B, 1, H, W) in the boxes, (R, 4, sm, sm); None without
        refinement. One frame may have several errors, which ``rows`` tell apart.
        """
        if features.pixels is None:
            return None
        assert errors is not None
        frames = features.pixels.expand(len(errors), -1, -1, -1)
        maps = torch.cat([frames, errors.to(frames)], dim=1)
        return _roi_align(maps, boxes, rows, self.mask_size, 1.0)

    def embed(self, roi: Tensor) -> Tensor:
        """(R, C, m, m) -> (R, D) embeddings of unit length (Sec. 3.1)."""
        return self.reid_head.embed(roi)

    def match(self, roi: Tensor, template: TemplateFeatures | None) -> Tensor | None:
        """(R, C, m, m) and what ``template`` gave -> log odds (R, m, m); None without pixel matching."""
        if self.pixel_matching is None or template is None:
            return None
        return self.pixel_matching(roi, template.cells, template.rivals, template.recent)

    def template(self, roi: Tensor, masks: Tensor, fine_roi: Tensor | None = None) -> TemplateFeatures | None:
        """(R, C, m, m), (R, sm, sm) in [0, 1] and, with refinement, (R, Cf, fm, fm): for ``match`` and ``propagate``;
        None without pixel matching and refinement.
        """
        if self.pixel_matching is None and self.refinement is None:
            return None
        pooled = F.avg_pool2d(masks[:, None], self.mask_scale)
        cells = torch.cat([roi, pooled.to(roi.dtype)], dim=1)
        return TemplateFeatures(cells, self._fine_parts(fine_roi, masks, template_weights))

    def remember(
        self,
        template: TemplateFeatures,
        rows: Sequence[int],
        roi: Tensor,
        masks: Tensor,
        fine_roi: Tensor | None = None,
    ) -> TemplateFeatures:
        """``template`` with what ``rows`` of it look like by now, where their own ``masks`` are sure, in place of what
        was remembered of them before; the other arguments are as above, a row each.
        """
        pooled = F.avg_pool2d(masks[:, None], self.mask_scale)[:, 0]
        recent = torch.cat([roi, recent_weights(pooled).to(roi.dtype)], dim=1)
        return template.remembering(rows, recent, self._fine_parts(fine_roi, masks, recent_weights))

    def keep_share(self, hidden: Tensor, share: Tensor) -> Tensor:
        """``hidden`` (R, d', m, m) after its masks lost all but a ``share`` (R, sm, sm) of themselves: so does the mask
        that rides along in it, where one does.
        """
        if not self.propagation_head.mask_channels:
            return hidden
        pooled = F.avg_pool2d(share[:, None], self.mask_scale).to(hidden)
        return torch.cat([hidden[:, :-1], hidden[:, -1:] * pooled], dim=1)

    def _fine_parts(
        self, fine_roi: Tensor | None, masks: Tensor, weights: Callable[[Tensor], Tensor]
    ) -> Tensor | None:
        """What fine matching compares with, of ``masks`` (R, sm, sm) whose cells count by ``weights``."""
        if self.refinement is None:
            return None
        assert fine_roi is not None
        finer = F.avg_pool2d(masks[:, None], SCALE)[:, 0]
        return self.refinement.matching.parts(fine_roi, weights(finer))

    @staticmethod
    def against(template: TemplateFeatures, others: Sequence[TemplateFeatures]) -> TemplateFeatures:
        """``template``, of one row, with the ``others``, of one row each, as its rivals."""
        if not others:
            return template
        fine = [_shown(t.parts[:, 0].flatten(2)) for t in others if t.parts is not None]
        return replace(
            template,
            rivals=torch.cat([_shown(PixelMatching.parts(t.cells)) for t in others], dim=2),
            fine_rivals=torch.cat(fine, dim=2) if fine else None,
        )

    def segment(self, roi: Tensor, matched: Tensor | None = None) -> Tensor:
        """(R, C, m, m) -> (R, m, m) mask logits (Sec. 3.1), of the object that ``match`` found, if it was asked."""
        logits = self.reid_head.segment(roi)
        return logits if matched is None else logits + matched

    def begin(self, roi: Tensor, masks: Tensor) -> Tensor:
        """(R, C, m, m), (R, m, m) in [0, 1] -> the hidden state at starting points (R, d, m, m)."""
        return self.propagation_head.begin(roi, masks)

    def propagate(
        self,
        roi: Tensor,
        warped_hidden: Tensor,
        warped_mask: Tensor,
        fine_roi: Tensor | None = None,
        pixels: Tensor | None = None,
        template: TemplateFeatures | None = None,
        contrast: Tensor | None = None,
    ) -> PropagationOutput:
        """One step of the recurrence (Eqs. 1 and 2): ``warped_mask`` (R, sm, sm); ``fine_roi``, ``pixels``, what
        ``template`` gave and the motion ``contrast`` (R, sm, sm) where the network has a use for them.
        """
        matched = self.match(roi, template)
        if self.refinement is None:
            return self.propagation_head(roi, warped_hidden, warped_mask, fine_roi, matched)
        assert fine_roi is not None
        assert pixels is not None
        assert template is not None
        assert template.parts is not None
        coarser = F.avg_pool2d(warped_mask[:, None], SCALE)[:, 0]
        motion = None
        if self.motion is not None:
            assert contrast is not None
            heard, motion = self.motion(contrast.to(roi.dtype))
            roi = roi + heard
        output: PropagationOutput = self.propagation_head(roi, warped_hidden, coarser, fine_roi, matched)
        logits = self.refinement(
            output.logits,
            fine_roi,
            pixels,
            warped_mask,
            template.parts,
            template.fine_rivals,
            template.fine_recent,
            motion,
        )
        hidden = output.hidden
        if self.propagation_head.mask_channels:  # the mask that is carried is the refined one
            mask = F.avg_pool2d(logits.sigmoid()[:, None], self.mask_scale).to(hidden.dtype)
            hidden = torch.cat([hidden[:, :-1], mask], dim=1)
        return replace(output, logits=logits, hidden=hidden)


def _shown(parts: Tensor) -> Tensor:
    """(1, C + 1, n) -> those of a weight above 0."""
    return parts[:, :, parts[0, -1] > 0]


def _roi_align(maps: Tensor, boxes: Tensor, rows: Tensor, size: int, scale: float) -> Tensor:
    # With the symmetric padding of every trunk here, cell k is centred on pixel k/scale, while RoIAlign takes it to
    # be half a cell further. Left alone, features lie 3.5 pixels off the masks, and masks creep along when
    # propagated; so boxes are moved by as much.
    return roi_align(maps, boxes.float() + (0.5 / scale - 0.5), rows, size, scale)
