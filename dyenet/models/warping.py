"""Carrying hidden states and masks from one frame's boxes to another's along the flow (DyeNet Sec. 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dyenet.structures import MaskPatches, cell_centres, mask_boxes, to_box_coordinates

WARP_STEP = 2
"""Masks are warped on every second pixel: their box is then right to a pixel or two, at a quarter of the cost."""


def sample_flow(flow: Tensor, points: Tensor) -> Tensor:
    """Bilinear ``flow`` (R, 2, H, W) at ``points`` (R, h, w, 2), (x, y) in pixels -> (R, h, w, 2).

    Points outside the frame take the flow of its edge.
    """
    height, width = flow.shape[-2:]
    grid = points / points.new_tensor([width, height]) * 2 - 1
    sampled = F.grid_sample(flow.float(), grid, align_corners=False, padding_mode="border")
    return sampled.permute(0, 2, 3, 1)


def warp_hidden(hidden: Tensor, source_boxes: Tensor, target_boxes: Tensor, flow: Tensor) -> Tensor:
    """h_(j-1) in its boxes -> h_((j-1)->j) in the boxes of frame j, in one sampling (reading D4).

    A cell of b_j is the image point p; it looks at p + F_{j->j-1}(p), which lies somewhere in b_(j-1).
    ``hidden`` (R, d, m, m), boxes (R, 4), ``flow`` (R, 2, H, W) F_{target -> source} -> (R, d, m, m); zeros where
    the point left the source box.
    """
    points = cell_centres(target_boxes, hidden.shape[-1])  # (R, m, m, 2)
    points = points + sample_flow(flow, points)
    grid = to_box_coordinates(points, source_boxes)
    return F.grid_sample(hidden, grid.to(hidden.dtype), align_corners=False)


def warped_boxes(patches: MaskPatches, flow: Tensor, *, threshold: float = 0.5) -> Tensor:
    """The boxes, on the target frame, of the masks warped along ``flow``; zeros where nothing is left.

    ``flow`` (R, 2, H, W) is F_{target -> source}; pixel x of the target frame belongs to the warped mask if the
    mask's probability at x + F(x) is at least ``threshold``. Returns (R, 4) tight boxes.
    """
    flow = flow[..., WARP_STEP // 2 :: WARP_STEP, WARP_STEP // 2 :: WARP_STEP].float()
    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device, dtype=torch.float32) * WARP_STEP + WARP_STEP // 2 + 0.5
    x = torch.arange(width, device=flow.device, dtype=torch.float32) * WARP_STEP + WARP_STEP // 2 + 0.5
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2)
    points = pixels + flow.permute(0, 2, 3, 1)
    boxes = mask_boxes(patches.sample(points) >= threshold)
    return boxes * WARP_STEP
