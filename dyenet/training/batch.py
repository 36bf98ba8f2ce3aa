"""A batch of clips as tensors over frames and objects, and the random boxes that training looks at."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dyenet.data.masks import VOID
from dyenet.errors import InputError
from dyenet.structures import Clip, MaskPatches, mask_boxes

MIN_SIDE = 8.0
"""A box is at least one feature cell a side."""


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames with R objects in all.

    ``images`` (B*T, 3, H, W), frame t of clip b at b*T + t; ``flow`` (B, T-1, 2, H, W) float32; ``clip`` (R,) the
    clip of every object, ``masks`` (R, T, H, W) float 0/1, ``boxes`` (R, T, 4), ``areas`` (R, T) in pixels,
    ``identities`` (R,); ``valid`` (B*T, H, W) float, 0 where the truth is void.
    """

    images: Tensor
    flow: Tensor
    clip: Tensor
    masks: Tensor
    boxes: Tensor
    areas: Tensor
    identities: Tensor
    valid: Tensor
    num_frames: int
    generators: list[torch.Generator]

    @property
    def image_size(self) -> tuple[int, int]:
        return (self.images.shape[-2], self.images.shape[-1])

    def frame_rows(self, objects: Tensor, frames: Tensor | int) -> Tensor:
        """The index in ``images`` of frame t of each object's clip."""
        return self.clip[objects] * self.num_frames + frames

    def targets(
        self, objects: Tensor, frames: Tensor, boxes: Tensor, size: int, *, soft: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(R', size, size) true masks in ``boxes`` and where they are valid, by RoIAlign: 0/1 at the threshold 0.5, or
        for ``soft`` masks the share of each cell that is the object's.
        """
        masks = MaskPatches.from_maps(self.masks[objects, frames], boxes, size).probabilities
        valid = MaskPatches.from_maps(self.valid[self.frame_rows(objects, frames)], boxes, size).probabilities
        return masks if soft else (masks >= 0.5).float(), (valid >= 0.5).float()

    def window(self, first: int, end: int) -> ClipBatch:
        """The frames ``first`` <= t < ``end`` of every clip; all objects stay, seen there or not."""
        if (first, end) == (0, self.num_frames):
            return self
        per_clip = self.images.unflatten(0, (-1, self.num_frames))
        valid = self.valid.unflatten(0, (-1, self.num_frames))
        return replace(
            self,
            images=per_clip[:, first:end].flatten(0, 1),
            flow=self.flow[:, first : end - 1],
            masks=self.masks[:, first:end],
            boxes=self.boxes[:, first:end],
            areas=self.areas[:, first:end],
            valid=valid[:, first:end].flatten(0, 1),
            num_frames=end - first,
        )

    @staticmethod
    def collate(clips: Sequence[Clip], device: torch.device | str = "cpu", *, seed: int = 0) -> ClipBatch:
        """Stacks clips of one length and size; InputError names a clip that differs. ``seed``: another one draws other
        random numbers for the same clips.
        """
        shape = clips[0].frames.shape
        for clip in clips:
            if clip.frames.shape != shape:
                raise InputError(
                    f"clips of one batch differ in shape: {tuple(shape)} and {tuple(clip.frames.shape)} "
                    f"({', '.join(clip.sources)}); give every data set the same size and num_frames"
                )
        masks = torch.stack([c.masks for c in clips]).to(device)  # (B, T, H, W)
        owners = [(b, k + 1) for b, c in enumerate(clips) for k in range(c.num_objects)]
        owner = torch.tensor([b for b, _ in owners], dtype=torch.long, device=device)
        values = torch.tensor([k for _, k in owners], dtype=masks.dtype, device=device)
        own = (masks[owner] == values[:, None, None, None]).float()  # (R, T, H, W)
        boxes = mask_boxes(own.flatten(0, 1)).reshape(-1, masks.shape[1], 4)
        return ClipBatch(
            images=torch.cat([c.frames for c in clips]).to(device),
            flow=torch.stack([c.flow.float() for c in clips]).to(
                device
            ),  # float16 cannot be stacked under autocast
            clip=owner,
            masks=own,
            boxes=boxes,
            areas=own.flatten(2).sum(2),
            identities=torch.tensor(
                [i for c in clips for i in c.identities], dtype=torch.long, device=device
            ),
            valid=(masks != VOID).float().flatten(0, 1),
            num_frames=masks.shape[1],
            generators=[clip_generator(c, seed) for c in clips],
        )


def clip_generator(clip: Clip, seed: int = 0) -> torch.Generator:
    """Random numbers that depend on ``seed`` and the clip alone: the same on one process or many, resumed or not."""
    return torch.Generator().manual_seed(zlib.crc32(clip.frames.contiguous().numpy().tobytes(), seed))


def jitter_boxes(
    boxes: Tensor, owners: Sequence[int], generators: Sequence[torch.Generator], amount: float
) -> Tensor:
    """Every side of ``boxes`` (R, 4) moved at random by up to ``amount`` of the width or height."""
    if not len(boxes):
        return boxes
    noise = (
        torch.stack([torch.rand(4, generator=generators[owner]) for owner in owners]).to(boxes.device) * 2 - 1
    )
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return at_least(boxes + amount * extent * noise, MIN_SIDE)


def at_least(boxes: Tensor, side: float) -> Tensor:
    """``boxes`` widened around their centre to at least ``side`` pixels."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=side / 2)
    return torch.cat([centre - half, centre + half], dim=1)
