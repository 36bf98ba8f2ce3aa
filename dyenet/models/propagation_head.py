"""Recurrent mask propagation with region attention, Re-MP (DyeNet Sec. 3.2, Eqs. 1 and 2, Fig. 3c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.models.blocks import NormName, initialise
from dyenet.models.conv5 import Conv5, OutputNetwork
from dyenet.registry import MODELS

AttentionName = Literal["area", "max", "none", "residual", "sigmoid"]


@dataclass(frozen=True)
class PropagationOutput:
    """``logits`` (R, s, s) of the mask y_j, ``hidden`` (R, d', m, m) for the next step, and ``attention`` (R, m, m)."""

    logits: Tensor
    hidden: Tensor
    attention: Tensor


class RegionAttention(nn.Module):
    """a_j: one convolution, of ``kernel`` cells a side, and a softmax over the box's cells (readings D5-D7).

    ``rescale`` "area" multiplies the softmax by the number of cells, so that its mean is 1; "max" divides by the
    largest value; "none" leaves the softmax as the paper writes it; "residual" is 1 + "area", which weighs cells up but
    silences none (attention that may be 0 learns to be the mask's complement, and what is inside can never be taken
    out again); "sigmoid" takes the softmax's place, cell by cell.
    """

    def __init__(self, channels: int, *, rescale: AttentionName, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, kernel, padding=kernel // 2)
        self.rescale = rescale
        nn.init.zeros_(self.conv.weight)  # begins even: a random start may learn to look away from the object
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, warped_hidden: Tensor) -> Tensor:
        """(R, d, m, m) -> (R, m, m)."""
        scores = self.conv(warped_hidden)[:, 0].float()
        if self.rescale == "sigmoid":
            return scores.sigmoid()
        attention = scores.flatten(1).softmax(dim=1)
        if self.rescale in ("area", "residual"):
            attention = attention * attention.shape[1] + float(self.rescale == "residual")
        elif self.rescale == "max":
            attention = attention / attention.amax(dim=1, keepdim=True)
        return attention.reshape(scores.shape)


class FineOutput(nn.Module):
    """A learned upsampling of the output network's features by 2 or 4, fed by the trunk's 1/4 map and by
    ``mask_channels`` masks at this size.

    Not in the paper: an m x m patch caps the accuracy of large objects whatever the network does.
    """

    def __init__(
        self, in_channels: int, fine_channels: int, *, scale: Literal[2, 4], channels: int, mask_channels: int
    ) -> None:
        super().__init__()
        self.scale = scale
        self.reduce = nn.Conv2d(in_channels, channels, 1)
        self.lateral = nn.Conv2d(fine_channels, channels, 1)
        self.refine = nn.Sequential(
            nn.Conv2d(2 * channels + mask_channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.correction = nn.Conv2d(channels, 1, 1)
        initialise(self)
        nn.init.zeros_(self.correction.weight)  # starts as plain bilinear upsampling

    def forward(
        self, features: Tensor, logits: Tensor, fine_roi: Tensor, masks: Sequence[Tensor] = ()
    ) -> Tensor:
        """(R, C, m, m), (R, m, m), (R, Cf, sm, sm) and ``masks`` of (R, sm, sm) -> (R, sm, sm) logits."""
        size = fine_roi.shape[-2:]
        coarse = F.interpolate(self.reduce(features), size=size, mode="bilinear")
        parts = [coarse, self.lateral(fine_roi), *(mask[:, None].to(coarse.dtype) for mask in masks)]
        refined = self.refine(torch.cat(parts, dim=1))
        upsampled = F.interpolate(logits[:, None], size=size, mode="bilinear")
        return (upsampled + self.correction(refined))[:, 0]


@MODELS.register_module()
class PropagationHead(nn.Module):
    """N_R (conv5_x over [x_j, h_(j-1)->j]), region attention and N_O.

    ``mask_entry`` says how a mask enters the recurrence (reading D2): "gate" multiplies the first hidden state
    N_R(0, x_i) by it; "channel" also carries the mask as one more channel of the hidden state, so that it is
    warped along and seen by N_R at every step, and adds the warped mask, as fine as it is put out, to the logits by a
    learned weight: the head then learns what to change about it. ``attention`` None leaves region attention out
    (Table 1), else it is ``RegionAttention``'s ``rescale``, and ``attention_kernel`` its kernel; ``carried`` says
    which h_j goes on to the next frame: the "raw" one of Eq. 1, or the "attended" one. ``fine_scale`` 2 or 4 adds the
    finer output; 1 is the paper's. Where convolutions see the mask's channel it is multiplied by ``mask_gain``: one
    channel among hundreds of features is hardly heard, and slow to be learned from. ``matched_channels`` 1 takes the
    log odds of pixel matching in as well, wherever the mask is: into N_R, into the logits and into their finer form.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        fine_channels: int,
        width: int = 512,
        hidden_channels: int = 2048,
        output_channels: int = 256,
        dilations: Sequence[int] = (2, 2, 2),
        norm: NormName = "frozen_bn",
        attention: AttentionName | None = "area",
        attention_kernel: Literal[1, 3] = 3,
        carried: Literal["raw", "attended"] = "raw",
        mask_entry: Literal["gate", "channel"] = "gate",
        mask_gain: float = 1.0,
        matched_channels: int = 0,
        fine_scale: Literal[1, 2, 4] = 1,
        fine_output_channels: int = 32,
    ) -> None:
        super().__init__()
        self.mask_channels = int(mask_entry == "channel")
        self.memory_channels = hidden_channels + self.mask_channels
        self.conv5 = Conv5(
            in_channels,
            width=width,
            out_channels=hidden_channels,
            stride=1,
            dilations=dilations,
            norm=norm,
            extra_channels=self.memory_channels + matched_channels,
        )
        self.attention = (
            None
            if attention is None
            else RegionAttention(hidden_channels, rescale=attention, kernel=attention_kernel)
        )
        self.carried = carried
        self.mask_gain = mask_gain
        self.matched_channels = matched_channels
        self.output = OutputNetwork(hidden_channels, output_channels)
        if self.mask_channels:
            self.mask_weight = nn.Parameter(torch.tensor(2.0))
        self.fine = (
            None
            if fine_scale == 1
            else FineOutput(
                output_channels,
                fine_channels,
                scale=fine_scale,
                channels=fine_output_channels,
                mask_channels=self.mask_channels + matched_channels,
            )
        )
        self.fine_scale = fine_scale

    def begin(self, roi: Tensor, masks: Tensor) -> Tensor:
        """The hidden state at a starting point: N_R(0, x_i) * y (reading D2).

        ``roi`` (R, C, m, m), ``masks`` (R, m, m) in [0, 1] -> (R, d', m, m), d' with the mask's channel if any.
        """
        masks = masks[:, None].to(roi.dtype)
        zeros = roi.new_zeros(len(roi), self.memory_channels - self.mask_channels, *roi.shape[-2:])
        parts = [roi, zeros, self.mask_gain * masks] if self.mask_channels else [roi, zeros]
        if self.matched_channels:  # the template's object is where the mask is
            parts.append(self.mask_gain * masks)
        hidden = self.conv5(torch.cat(parts, dim=1)) * masks
        return torch.cat([hidden, masks], dim=1) if self.mask_channels else hidden

    def forward(
        self,
        roi: Tensor,
        warped_hidden: Tensor,
        warped_mask: Tensor,
        fine_roi: Tensor | None = None,
        matched: Tensor | None = None,
    ) -> PropagationOutput:
        """One step: ``roi`` x_j (R, C, m, m), ``warped_hidden`` (R, d', m, m), ``warped_mask`` (R, sm, sm) of
        probabilities, s = ``fine_scale``, ``fine_roi`` (R, Cf, sm, sm) unless s is 1, and ``matched`` (R, m, m), log
        odds, with ``matched_channels``.
        """
        if (matched is not None) != bool(self.matched_channels):
            raise ValueError("matched goes with matched_channels=1")
        channels = [self.memory_channels - self.mask_channels, self.mask_channels]
        before, coarse_mask = warped_hidden.split(channels, dim=1)
        heard = [roi, before, self.mask_gain * coarse_mask]
        if matched is not None:
            heard.append(self.mask_gain * matched.sigmoid()[:, None].to(roi.dtype))
        hidden = self.conv5(torch.cat(heard, dim=1))  # Eq. 1
        attended, attention = hidden, hidden.new_ones(hidden.shape[0], *hidden.shape[-2:])
        if self.attention is not None:
            attention = self.attention(before)
            attended = hidden * attention[:, None].to(hidden.dtype)
            if self.carried == "attended":
                hidden = attended
        features = self.output.features(attended)
        logits = self.output.conv3(features)[:, 0]  # Eq. 2
        if matched is not None:
            logits = logits + matched
        if self.fine is not None:
            if fine_roi is None:
                raise ValueError("this head has the finer output on and needs fine_roi")
            masks = [warped_mask] if self.mask_channels else []
            if matched is not None:
                masks.append(
                    F.interpolate(matched[:, None], size=fine_roi.shape[-2:], mode="bilinear")[:, 0].sigmoid()
                )
            logits = self.fine(features, logits, fine_roi, [self.mask_gain * mask for mask in masks])
        if self.mask_channels:
            logits = logits + self.mask_weight * (2 * warped_mask - 1)
            mask = F.avg_pool2d(logits.sigmoid()[:, None], self.fine_scale)
            hidden = torch.cat([hidden, mask.to(hidden.dtype)], dim=1)
        return PropagationOutput(logits, hidden, attention)
