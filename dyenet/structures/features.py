"""What the trunk gives for a batch of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FrameFeatures:
    """``coarse`` (B, C, H/8, W/8), ``fine`` (B, Cf, H/4, W/4) or None, ``image_size`` (H, W) before padding, and
    ``pixels`` (B, 3, H, W), RGB less 127.5 and divided by 64, or None.

    The maps cover the padded frame: cell (r, c) of ``coarse`` covers pixels [8c, 8c+8) x [8r, 8r+8).
    """

    coarse: Tensor
    fine: Tensor | None
    image_size: tuple[int, int]
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return self.coarse.shape[0]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FrameFeatures:
        return self.of([part.to(device, dtype) for part in self.parts()])

    def parts(self) -> list[Tensor]:
        """The tensors that there are: ``coarse``, ``fine``, ``pixels``."""
        return [part for part in (self.coarse, self.fine, self.pixels) if part is not None]

    def of(self, parts: Sequence[Tensor]) -> FrameFeatures:
        """Features of the same kind from ``parts`` in their order."""
        given = iter(parts)
        return FrameFeatures(
            next(given),
            None if self.fine is None else next(given),
            self.image_size,
            None if self.pixels is None else next(given),
        )


@dataclass(frozen=True)
class TemplateFeatures:
    """What boxes are compared with, of R objects where their masks are known: ``cells`` (R, C + 1, m, m), the features
    of the 1/8 map and the mask, and ``parts`` (R, 2, Cf + 1, g, g) or None, what ``FineMatching.parts`` gives.

    ``rivals`` (R, C + 1, N) and ``fine_rivals`` (R, Cf + 1, N'), or None: parts of the other objects, their mean
    features and weights; of weight 0 what only fills up.

    ``recent`` (R, C + 2, m, m) and ``fine_recent`` (as ``parts``), or None: what the objects' own masks showed some
    frames ago, features and what they count with the object and with what is beside it.
    """

    cells: Tensor
    parts: Tensor | None = None
    rivals: Tensor | None = None
    fine_rivals: Tensor | None = None
    recent: Tensor | None = None
    fine_recent: Tensor | None = None

    @staticmethod
    def cat(templates: Sequence[TemplateFeatures]) -> TemplateFeatures:
        """Joins templates of one row each."""
        others = zip(*(t._others() for t in templates), strict=True)
        return TemplateFeatures(torch.cat([t.cells for t in templates]), *map(_filled_up, others))

    def remembering(
        self, rows: Sequence[int], recent: Tensor, fine_recent: Tensor | None = None
    ) -> TemplateFeatures:
        """The same with ``recent`` and ``fine_recent`` of ``rows``, a row each, in place of theirs."""
        return replace(
            self,
            recent=_put(self.recent, len(self.cells), rows, recent),
            fine_recent=None
            if fine_recent is None
            else _put(self.fine_recent, len(self.cells), rows, fine_recent),
        )

    def __getitem__(self, rows: Tensor | Sequence[int]) -> TemplateFeatures:
        others = (None if part is None else part[rows] for part in self._others())
        return TemplateFeatures(self.cells[rows], *others)

    def _others(self) -> tuple[Tensor | None, ...]:
        """All but ``cells``, in their order."""
        return self.parts, self.rivals, self.fine_rivals, self.recent, self.fine_recent


def _put(kept: Tensor | None, length: int, rows: Sequence[int], found: Tensor) -> Tensor:
    """``kept`` (length, ...), 0 if there is none yet, with ``found`` in ``rows``."""
    result = found.new_zeros(length, *found.shape[1:]) if kept is None else kept.clone()
    result[list(rows)] = found.to(result.dtype)
    return result


def _filled_up(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Rows (1, ..., n) of several n, filled up with 0; None if all of them are."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    longest = max(found, key=lambda part: part.shape[-1])
    rows = [torch.zeros_like(longest[..., :0]) if part is None else part for part in parts]
    return torch.cat([F.pad(row, (0, longest.shape[-1] - row.shape[-1])) for row in rows])
