"""Carrying hidden states and masks from one frame's boxes to another's along the flow (DyeNet Sec. 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dyenet.structures import MaskPatches, cell_centres, mask_boxes, to_box_coordinates

WARP_STEP = 2
"""Masks are warped on every second pixel: their box is then right to a pixel or two, at a quarter of the cost."""
MEDIAN_STEP = 4
"""Medians of flow are taken of every fourth cell a side."""
STILL = 1.0
"""Pixels by which motions must differ to tell much apart: flow is hardly more accurate."""


def sample_flow(flow: Tensor, points: Tensor) -> Tensor:
    """Bilinear ``flow`` (R, 2, H, W) at ``points`` (R, h, w, 2), (x, y) in pixels -> (R, h, w, 2).

    Points outside the frame take the flow of its edge.
    """
    return _sample(flow, points).permute(0, 2, 3, 1)


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


def photometric_errors(pixels: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    """How much frames differ from the frames ``before`` them, warped along the flow: where they do not, what was true
    of the one is true of the other.

    (B, C, H, W) twice, ``flow`` (B, 2, H, W) F_{target -> source} -> (B, 1, H, W), float32: the mean absolute
    difference over the channels. What comes from outside the frame is compared with its edge.
    """
    points = _pixel_centres(flow) + flow.float().permute(0, 2, 3, 1)
    return (pixels.float() - _sample(before, points)).abs().mean(dim=1, keepdim=True)


def motion_contrast(flow: Tensor, boxes: Tensor, masks: Tensor) -> Tensor:
    """How much more the cells of boxes move as their object does than as what is beside it.

    ``flow`` (R, 2, H, W), ``boxes`` (R, 4), ``masks`` (R, s, s) of probabilities in them -> (R, s, s): with f_o and f_b
    the medians of the flow f inside and outside the mask, (|f - f_b| - |f - f_o|) / (|f_o - f_b| + ``STILL``), in
    (-1, 1); 0 where a mask leaves nothing inside or outside.
    """
    moved = sample_flow(flow, cell_centres(boxes, masks.shape[-1])).float()  # (R, s, s, 2)
    every = slice(MEDIAN_STEP // 2, None, MEDIAN_STEP)
    some, inside = moved[:, every, every].flatten(1, 2), masks[:, every, every].flatten(1)[..., None] >= 0.5
    own = some.masked_fill(~inside, torch.nan).nanmedian(dim=1).values[:, None, None]  # (R, 1, 1, 2)
    other = some.masked_fill(inside, torch.nan).nanmedian(dim=1).values[:, None, None]
    nearer = (moved - other).norm(dim=-1) - (moved - own).norm(dim=-1)
    return (nearer / ((own - other).norm(dim=-1) + STILL)).nan_to_num()


def warped_boxes(patches: MaskPatches, flow: Tensor, *, threshold: float = 0.5) -> Tensor:
    """The boxes, on the target frame, of the masks warped along ``flow``; zeros where nothing is left.

    ``flow`` (R, 2, H, W) is F_{target -> source}; pixel x of the target frame belongs to the warped mask if the
    mask's probability at x + F(x) is at least ``threshold``. Returns (R, 4) tight boxes, exact to ``WARP_STEP`` pixels.
    """
    boxes = _warped_boxes_at(WARP_STEP, patches, flow, threshold)
    empty = (boxes[:, 2] == 0).nonzero()[:, 0]
    if len(empty):  # lines may lie between the pixels that were looked at
        boxes[empty] = _warped_boxes_at(1, patches[empty.tolist()], flow[empty], threshold)
    return boxes


def _warped_boxes_at(step: int, patches: MaskPatches, flow: Tensor, threshold: float) -> Tensor:
    """The same, where every ``step``-th pixel is looked at."""
    flow = flow[..., step // 2 :: step, step // 2 :: step].float()
    points = _pixel_centres(flow, step) + flow.permute(0, 2, 3, 1)
    return mask_boxes(patches.sample(points) >= threshold) * step


def _sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear ``maps`` (R, C, H, W) at ``points`` (R, h, w, 2) in pixels -> (R, C, h, w), float32; edges go on."""
    grid = points / points.new_tensor([maps.shape[-1], maps.shape[-2]]) * 2 - 1
    return F.grid_sample(maps.float(), grid, align_corners=False, padding_mode="border")


def _pixel_centres(maps: Tensor, step: int = 1) -> Tensor:
    """(h, w, 2): the centres (x, y) of the pixels of ``maps`` (..., h, w), which are every ``step``-th of the frame."""
    y = torch.arange(maps.shape[-2], device=maps.device, dtype=torch.float32) * step + step // 2 + 0.5
    x = torch.arange(maps.shape[-1], device=maps.device, dtype=torch.float32) * step + step // 2 + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
