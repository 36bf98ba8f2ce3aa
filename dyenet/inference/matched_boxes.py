"""Boxes where a frame looks like a given mask, which the RPN knows nothing of. Not in the papers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

SCALES = (0.7, 1.0, 1.4)
"""Sides of the object beside those of its given mask."""
CELLS = 12
"""That a mask has at least along its longer side; more say no more, and take longer."""
NMS_IOU = 0.4
"""So that the same place at two scales counts once."""


def averaging(extent: Tensor, stride: int) -> int:
    """How many cells a side, ``stride`` pixels apart, may be averaged to one to look for what fills ``extent`` (4,)."""
    side = (extent[2:] - extent[:2]).max().item()
    return max(1, int(side / stride / CELLS))


def matched_boxes(
    log_odds: Tensor, mask: Tensor, extent: Tensor, box: Tensor, *, stride: int, first: float, count: int
) -> Tensor:
    """At most ``count`` boxes (M, 4), the best first, in pixels of the frame and maybe beyond its sides.

    ``log_odds`` (H, W): of each cell of the frame that it is the object's; they are ``stride`` pixels apart, and the
    first is centred on the pixel (``first``, ``first``). ``mask`` (m, m) in [0, 1] fills the box ``extent`` (4,), and
    ``box`` (4,) is tight around the object in it. The mask is laid over every place at each of ``SCALES``; a place is
    as good as the mean probability inside the mask exceeds that beside it, and those that are best in their
    neighbourhood give the boxes.
    """
    probabilities = log_odds.float().sigmoid()[None, None]
    extent, box, mask = (x.to(probabilities) for x in (extent, box, mask))
    offset = box.reshape(2, 2).mean(0) - extent.reshape(2, 2).mean(0)
    half = (box[2:] - box[:2]) / 2
    boxes, scores = [], []
    for scale in SCALES:
        sides = ((extent[2:] - extent[:2]) * scale / stride).tolist()  # in cells
        width, height = (max(1, round(side)) // 2 * 2 + 1 for side in sides)
        shape = F.interpolate(mask[None, None], size=(height, width), mode="bilinear", antialias=True)
        shape = shape.clamp(1e-3, 1 - 1e-3)
        kernel = shape / shape.sum() - (1 - shape) / (1 - shape).sum()
        score = F.conv2d(probabilities, kernel, padding=(height // 2, width // 2))
        best = (score == F.max_pool2d(score, 5, stride=1, padding=2)) & (score > 0)
        rows, columns = best[0, 0].nonzero(as_tuple=True)
        centres = torch.stack([columns, rows], dim=1) * stride + first + offset * scale
        boxes.append(torch.cat([centres - half * scale, centres + half * scale], dim=1))
        scores.append(score[0, 0, rows, columns])
    found = torch.cat(boxes)
    return found[nms(found, torch.cat(scores), NMS_IOU)[:count]]
