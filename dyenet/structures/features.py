"""What the trunk gives for a batch of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameFeatures:
    """``coarse`` (B, C, H/8, W/8), ``fine`` (B, Cf, H/4, W/4) or None, and ``image_size`` (H, W) before padding.

    The maps cover the padded frame: cell (r, c) of ``coarse`` covers pixels [8c, 8c+8) x [8r, 8r+8).
    """

    coarse: Tensor
    fine: Tensor | None
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return self.coarse.shape[0]

    @staticmethod
    def cat(features: Sequence[FrameFeatures]) -> FrameFeatures:
        """Joins frames of one size."""
        fine = [f.fine for f in features if f.fine is not None]
        return FrameFeatures(
            torch.cat([f.coarse for f in features]), torch.cat(fine) if fine else None, features[0].image_size
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FrameFeatures:
        return FrameFeatures(
            self.coarse.to(device, dtype),
            None if self.fine is None else self.fine.to(device, dtype),
            self.image_size,
        )
