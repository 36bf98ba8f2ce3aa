"""Masks as patches: s x s probabilities and the box they live in.

Inside the program a mask is never a full-size map. A box is (x0, y0, x1, y1) in pixels of the full frame;
pixel (column i, row j) covers [i, i+1) x [j, j+1), so the box of a whole frame is (0, 0, W, H) and cell
(column c, row r) of an s x s patch is centred on (x0 + (c + 0.5)(x1 - x0)/s, y0 + (r + 0.5)(y1 - y0)/s).
This is the convention of RoIAlign with ``aligned=True`` and of ``grid_sample`` with ``align_corners=False``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

KEPT_DTYPE = torch.float16
"""Of the probabilities of masks that are kept: tracklets of a whole video are."""


@dataclass(frozen=True)
class MaskPatches:
    """R masks: ``boxes`` (R, 4) float32 xyxy and ``probabilities`` (R, s, s) in [0, 1], on one device.

    A mask is zero outside its box. A mask that was not found has probabilities 0 everywhere.
    """

    boxes: Tensor
    probabilities: Tensor

    def __post_init__(self) -> None:
        if self.boxes.shape != (self.probabilities.shape[0], 4) or self.probabilities.ndim != 3:
            raise ValueError(
                f"boxes {tuple(self.boxes.shape)} and probabilities {tuple(self.probabilities.shape)} do not "
                "describe the same number of square patches"
            )

    def __len__(self) -> int:
        return self.boxes.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> MaskPatches:
        """Rows by index; an integer gives a ``MaskPatches`` of length 1."""
        if isinstance(index, int):
            index = slice(index, index + 1) if index != -1 else slice(-1, None)
        elif not isinstance(index, (slice, Tensor)):
            index = torch.as_tensor(list(index), dtype=torch.long, device=self.boxes.device)
        return MaskPatches(self.boxes[index], self.probabilities[index])

    def __iter__(self) -> Iterator[MaskPatches]:
        return (self[i] for i in range(len(self)))

    @property
    def size(self) -> int:
        """Cells per side, s."""
        return self.probabilities.shape[-1]

    @staticmethod
    def cat(patches: Sequence[MaskPatches]) -> MaskPatches:
        """Joins patches of one size; the sequence may not be empty."""
        return MaskPatches(
            torch.cat([p.boxes for p in patches]), torch.cat([p.probabilities for p in patches])
        )

    @staticmethod
    def empty(size: int, rows: int = 0) -> MaskPatches:
        """``rows`` masks that were not found."""
        return MaskPatches(torch.zeros(rows, 4), torch.zeros(rows, size, size))

    @staticmethod
    def from_maps(maps: Tensor, boxes: Tensor, size: int) -> MaskPatches:
        """Cuts ``maps`` (R, H, W), in [0, 1], to ``boxes`` (R, 4) and averages them into size x size cells."""
        rows = torch.arange(len(maps), device=boxes.device, dtype=boxes.dtype)[:, None]
        cut = roi_align(
            maps[:, None].float(), torch.cat([rows, boxes.float()], 1), size, sampling_ratio=0, aligned=True
        )
        return MaskPatches(boxes.float(), cut[:, 0].clamp_(0, 1))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> MaskPatches:
        """Moves to ``device``; ``dtype`` is that of the probabilities (boxes stay float32)."""
        return MaskPatches(
            self.boxes.to(device), self.probabilities.to(device, dtype or self.probabilities.dtype)
        )

    def areas(self, threshold: float = 0.5) -> Tensor:
        """(R,) float: the area in pixels of the cells with probability >= threshold."""
        cells = (self.probabilities >= threshold).flatten(1).sum(1)
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).clamp(min=0).unbind(1)
        return cells * width * height / self.size**2

    def tight_boxes(self, threshold: float = 0.5) -> Tensor:
        """(R, 4): the box around the cells with probability >= threshold; zeros where there is none."""
        inside = self.probabilities >= threshold
        return _tight(inside.any(1), inside.any(2), self.boxes)

    def confidences(self, threshold: float = 0.5) -> Tensor:
        """(R,): the mean probability over the cells >= threshold; 0 where there is none."""
        inside = self.probabilities >= threshold
        total = (self.probabilities.float() * inside).flatten(1).sum(1)
        return total / inside.flatten(1).sum(1).clamp(min=1)

    def sample(self, points: Tensor) -> Tensor:
        """Bilinear probabilities at ``points`` (R, ..., 2), (x, y) in pixels; 0 outside the box.

        Returns (R, ...), float32.
        """
        shape = points.shape[:-1]
        grid = to_box_coordinates(points.reshape(len(self), 1, -1, 2), self.boxes)
        out = F.grid_sample(self.probabilities[:, None].float(), grid, align_corners=False)
        return out.reshape(shape)

    def paste(self, height: int, width: int) -> Tensor:
        """(R, height, width) float32 maps of a frame of that size in the boxes' pixels; 0 outside the box."""
        maps = torch.zeros(len(self), height, width, device=self.boxes.device)
        for row in range(len(self)):
            window, values = self.paste_window(row, height, width)
            maps[row][window] = values
        return maps

    def paste_window(self, row: int, height: int, width: int) -> tuple[tuple[slice, slice], Tensor]:
        """The pixels of one row's box: (rows slice, columns slice) of the frame and the map inside them.

        Pixels whose centre is outside the box are left out.
        """
        x0, y0, x1, y1 = self.boxes[row].tolist()
        left, top = max(0, round(x0)), max(0, round(y0))
        right, bottom = min(width, round(x1)), min(height, round(y1))
        window = (slice(top, max(top, bottom)), slice(left, max(left, right)))
        device = self.boxes.device
        if right <= left or bottom <= top:
            return window, torch.zeros(window[0].stop - top, window[1].stop - left, device=device)
        s = self.size
        u = ((torch.arange(left, right, device=device) + 0.5 - x0) / (x1 - x0)) * 2 - 1
        v = ((torch.arange(top, bottom, device=device) + 0.5 - y0) / (y1 - y0)) * 2 - 1
        grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1)[None]
        values = F.grid_sample(
            self.probabilities[row].float().reshape(1, 1, s, s),
            grid,
            align_corners=False,
            padding_mode="border",
        )
        return window, values[0, 0]


def _tight(columns: Tensor, rows: Tensor, boxes: Tensor) -> Tensor:
    """The boxes around the True ``columns`` and ``rows`` (R, s) of patches that live in ``boxes`` (R, 4)."""
    s = columns.shape[1]
    index = torch.arange(s, device=boxes.device, dtype=boxes.dtype)
    sides = (boxes[:, 2:] - boxes[:, :2]) / s
    out = []
    for axis, hit in enumerate((columns, rows)):
        first = torch.where(hit, index, s).amin(1)
        last = torch.where(hit, index, -1).amax(1) + 1
        out.append((boxes[:, axis] + first * sides[:, axis], boxes[:, axis] + last * sides[:, axis]))
    tight = torch.stack([out[0][0], out[1][0], out[0][1], out[1][1]], dim=1)
    return tight * columns.any(1)[:, None]


def to_box_coordinates(points: Tensor, boxes: Tensor) -> Tensor:
    """``points`` (R, ..., 2), (x, y) in pixels, as ``grid_sample`` coordinates in ``boxes`` (R, 4)."""
    shape = (len(boxes),) + (1,) * (points.ndim - 2) + (2,)
    origin = boxes[:, :2].reshape(shape)
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6).reshape(shape)
    return (points - origin) / extent * 2 - 1


def cell_centres(boxes: Tensor, size: int) -> Tensor:
    """(R, size, size, 2): the image point (x, y), in pixels, of every cell of patches in ``boxes`` (R, 4)."""
    steps = (torch.arange(size, device=boxes.device, dtype=boxes.dtype) + 0.5) / size
    x = boxes[:, None, 0] + steps * (boxes[:, 2] - boxes[:, 0])[:, None]  # (R, size)
    y = boxes[:, None, 1] + steps * (boxes[:, 3] - boxes[:, 1])[:, None]
    return torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)


def enlarge_boxes(boxes: Tensor, ratio: float, image_size: tuple[int, int]) -> Tensor:
    """Moves every side of ``boxes`` (R, 4) outward by ``ratio`` of the width or height, inside (H, W)."""
    margin = ratio * (boxes[:, 2:] - boxes[:, :2])
    moved = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
    return clip_boxes(moved, image_size)


def clip_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """``boxes`` (R, 4) cut to a frame of ``image_size`` = (H, W)."""
    height, width = image_size
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def mask_boxes(masks: Tensor) -> Tensor:
    """(R, 4) float32: the tight box of every binary mask in ``masks`` (R, H, W); zeros where it is empty."""
    masks = masks > 0
    height, width = masks.shape[-2:]
    out = []
    for axis_hits, length in ((masks.any(1), width), (masks.any(2), height)):
        index = torch.arange(length, device=masks.device, dtype=torch.float32)
        out.append(
            (torch.where(axis_hits, index, length).amin(1), torch.where(axis_hits, index, -1).amax(1) + 1)
        )
    boxes = torch.stack([out[0][0], out[1][0], out[0][1], out[1][1]], dim=1)
    return boxes * masks.flatten(1).any(1)[:, None]


def patch_iou(a: MaskPatches, b: MaskPatches, *, threshold: float = 0.5, resolution: int = 64) -> Tensor:
    """(Ra, Rb): the IoU of every mask in a with every mask in b; see ``paired_iou``."""
    ra, rb = len(a), len(b)
    pair_a = a[torch.arange(ra, device=a.boxes.device).repeat_interleave(rb)]
    pair_b = b[torch.arange(rb, device=b.boxes.device).repeat(ra)]
    return paired_iou(pair_a, pair_b, threshold=threshold, resolution=resolution).reshape(ra, rb)


def paired_iou(a: MaskPatches, b: MaskPatches, *, threshold: float = 0.5, resolution: int = 64) -> Tensor:
    """(R,): the IoU of row r of a with row r of b, rasterised at resolution^2 points over the pair's joint box.

    Two empty masks have IoU 0.
    """
    joint = torch.cat([torch.minimum(a.boxes, b.boxes)[:, :2], torch.maximum(a.boxes, b.boxes)[:, 2:]], dim=1)
    points = cell_centres(joint, resolution)
    in_a = a.sample(points) >= threshold
    in_b = b.sample(points) >= threshold
    intersection = (in_a & in_b).flatten(1).sum(1).float()
    union = (in_a | in_b).flatten(1).sum(1)
    return intersection / union.clamp(min=1)
