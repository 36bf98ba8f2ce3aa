"""Augmentation of clips: torchvision.transforms.v2 on tv_tensors, the same geometry for all frames of a clip."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

STRETCH = 1.4
"""Up to this factor a picture of another shape is stretched rather than cut."""


class CropAroundObjects(v2.Transform):
    """Cuts a window of about the shape of ``size`` (H, W) that contains an object, and resizes it to ``size``.

    The window's height is ``scale`` (low, high) times the largest that fits the frame, drawn evenly in its
    logarithm; its place is random among those that hold the centre of a random object pixel of the first
    frame that has any. A clip without objects is cut anywhere. Masks are resized by nearest neighbour.
    """

    def __init__(self, *, size: tuple[int, int], scale: tuple[float, float] = (0.5, 1.0)) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        masks = next(i for i in flat_inputs if isinstance(i, tv_tensors.Mask))
        height, width = masks.shape[-2:]
        low, high = (math.log(s) for s in self.scale)
        wanted = self.size[1] / self.size[0]
        aspect = min(max(width / height, wanted / STRETCH), wanted * STRETCH)
        crop_h = math.exp(_uniform(low, high)) * min(height, width / aspect)
        h, w = max(1, round(crop_h)), max(1, min(width, round(crop_h * aspect)))
        y, x = _object_pixel(masks)
        top = _window_start(y, h, height)
        left = _window_start(x, w, width)
        return dict(top=top, left=left, height=h, width=w)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        # Interpolation by kind: masks go by nearest neighbour in torchvision's own kernels.
        return F.resized_crop(inpt, **params, size=list(self.size), antialias=True)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _object_pixel(masks: Tensor) -> tuple[int, int]:
    """(row, column) of a random object pixel of the first of the masks (T, H, W) that has any."""
    for mask in masks.as_subclass(Tensor):
        pixels = ((mask > 0) & (mask < 255)).nonzero()
        if len(pixels):
            row, column = pixels[int(torch.randint(len(pixels), ()))].tolist()
            return row, column
    height, width = masks.shape[-2:]
    return int(torch.randint(height, ())), int(torch.randint(width, ()))


def _window_start(pixel: int, length: int, limit: int) -> int:
    """Where a window of ``length`` that holds ``pixel`` starts inside [0, limit)."""
    low, high = max(0, pixel - length + 1), min(pixel, limit - length)
    return int(torch.randint(low, max(low, high) + 1, ()))


class ClipAugmentation:
    """What training does to a clip: crop around objects and resize, flip, colour.

    Args: ``size`` (H, W) of the result; ``scale``: see ``CropAroundObjects``; ``flip``: probability; ``colour``:
    strength of brightness, contrast and saturation changes, 0 for none; ``grey``, ``blur``: probabilities.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int],
        scale: tuple[float, float] = (0.5, 1.0),
        flip: float = 0.5,
        colour: float = 0.3,
        grey: float = 0.05,
        blur: float = 0.1,
    ) -> None:
        self.geometry = v2.Compose([CropAroundObjects(size=size, scale=scale), v2.RandomHorizontalFlip(flip)])
        self.photometry = v2.Compose(
            [
                v2.ColorJitter(brightness=colour, contrast=colour, saturation=colour),
                v2.RandomGrayscale(grey),
                v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], blur),
            ]
        )

    def __call__(
        self, frames: Tensor, masks: Tensor, *, seed: int, geometry: bool = True, photometry: bool = True
    ) -> tuple[Tensor, Tensor]:
        """``frames`` (T, 3, H, W) uint8 and ``masks`` (T, H, W) uint8 -> the same of ``size``.

        ``seed`` decides everything; torch's global random state is left as it was.
        """
        video, mask = tv_tensors.Video(frames), tv_tensors.Mask(masks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if geometry:
                video, mask = self.geometry(video, mask)
            if photometry:
                video, mask = self.photometry(video, mask)
        return video.as_subclass(Tensor).contiguous(), mask.as_subclass(Tensor).contiguous()
