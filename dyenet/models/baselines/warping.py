"""Probability maps carried along the flow (W of VS-ReID's Algorithm 1), on the full frame (reading V10)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from dyenet.models.warping import sample_flow
from dyenet.structures import MaskPatches

MAX_DISAGREEMENT = 100.0
"""Pixels by which the two flows may miss each other before a pixel is given up (released code)."""


def pixel_centres(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(H, W, 2): (x, y) of the centre of every pixel."""
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def warp_maps(maps: Tensor, flow: Tensor) -> Tensor:
    """(R, H, W) maps of the frames that ``flow`` (R, 2, H, W) leads to, on the grids it starts from; 0 outside."""
    height, width = maps.shape[-2:]
    points = pixel_centres(height, width, flow.device) + flow.permute(0, 2, 3, 1)
    grid = points / points.new_tensor([width, height]) * 2 - 1
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0]


def warp_bilinear(patches: MaskPatches, flow: Tensor) -> Tensor:
    """R masks of one frame on the grid of another: (R, H, W), each sampled at x + F_{target->source}(x).

    ``flow`` (2, H, W) is F_{target->source}. Zero where that point lies outside the mask's box.
    """
    points = pixel_centres(flow.shape[-2], flow.shape[-1], flow.device) + flow.permute(1, 2, 0)
    return patches.sample(points.expand(len(patches), -1, -1, -1))


def warp_fb_average(patches: MaskPatches, flow: Tensor, back_flow: Tensor) -> Tensor:
    """The released code's: with p = x + F_{target->source}(x) the displacement is the mean of F_{target->source}(x)
    and -F_{source->target}(p), and the nearest pixel is read.

    ``flow`` F_{target->source} and ``back_flow`` F_{source->target}, (2, H, W). A pixel whose two flows disagree
    by 100 or more, or that comes from outside the frame, is 0.
    """
    height, width = flow.shape[-2:]
    x = pixel_centres(height, width, flow.device)  # (H, W, 2)
    forward = flow.permute(1, 2, 0)
    p = x + forward
    back = sample_flow(back_flow[None], p[None])[0]  # (H, W, 2)
    limit = p.new_tensor([width, height])
    agree = (forward + back).norm(dim=-1) < MAX_DISAGREEMENT
    source = (x + (forward - back) / 2).floor() + 0.5  # the centre of the pixel that holds the point
    inside = ((source > 0) & (source < limit)).all(dim=-1)
    maps = patches.sample(source.expand(len(patches), -1, -1, -1))
    return maps * (agree & inside)


def normalise_jointly(maps: Tensor) -> tuple[Tensor, Tensor]:
    """VS-ReID's formula for M on (R, H, W) maps of R objects: P_k / Z, (R, H, W), and where k is the most probable
    label, (R, H, W) bool; Z = prod(1 - P) + sum P.
    """
    background = (1 - maps).prod(0, keepdim=True)
    scaled = torch.cat([background, maps]) / (background + maps.sum(0, keepdim=True))  # (R + 1, H, W)
    labels = scaled.argmax(0)
    ids = torch.arange(1, len(maps) + 1, device=maps.device)[:, None, None]
    return scaled[1:], labels == ids


def cut_picture(picture: Tensor, boxes: Tensor, size: int) -> Tensor:
    """(C, H, W) cut to ``boxes`` (R, 4) inside it: (R, C, size, size); bilinear where it grows, the mean where it
    shrinks.
    """
    rows = boxes.new_zeros(len(boxes), 1)
    return roi_align(
        picture[None].float(), torch.cat([rows, boxes.float()], dim=1), size, sampling_ratio=0, aligned=True
    )
