"""What one round passes on: templates, starting points, tracklets, mask tubes (DyeNet, Sec. 3).

An object id is the palette index of the given masks, 1..255, and never changes. Positions in tensors are
separate and local to the call that made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dyenet.structures.features import TemplateFeatures
from dyenet.structures.patches import MaskPatches


@dataclass(frozen=True)
class Template:
    """An object as it looks in one frame (Sec. 3.1): ``embedding`` (D,) of unit length, ``patch`` of length 1.

    ``given`` templates come from the masks the user gave and are never removed; the others were added by
    template expansion, with ``similarity`` the cosine that let them in.
    """

    object_id: int
    frame: int
    patch: MaskPatches
    embedding: Tensor
    given: bool = True
    similarity: float = 1.0


@dataclass(frozen=True)
class Candidates:
    """The candidate boxes of one frame: ``boxes`` (M, 4), ``objectness`` (M,) in [0, 1], ``embeddings`` (M, D)."""

    boxes: Tensor
    objectness: Tensor
    embeddings: Tensor

    def __len__(self) -> int:
        return self.boxes.shape[0]

    @staticmethod
    def cat(parts: Sequence[Candidates]) -> Candidates:
        """All of them, in order."""
        return Candidates(
            torch.cat([p.boxes for p in parts]),
            torch.cat([p.objectness for p in parts]),
            torch.cat([p.embeddings for p in parts]),
        )


@dataclass(frozen=True)
class StartingPoint:
    """A mask from which an object is propagated both ways: ``patch`` of length 1, ``similarity`` to a template.

    ``alternatives``: the other objects it is similar enough to, as (object id, similarity), best first. ``template``:
    a given mask of the object, which pixel matching compares with; None where the starting point is given itself.
    """

    object_id: int
    frame: int
    patch: MaskPatches
    similarity: float = 1.0
    given: bool = False
    alternatives: tuple[tuple[int, float], ...] = ()
    template: Template | None = None


@dataclass
class Tracklet:
    """The masks that one starting point was extended to: frame -> ``MaskPatches`` of length 1. ``similarities``: how
    similar each is to the object's given masks, where ``inference.verification.compare`` was asked.
    """

    start: StartingPoint
    patches: dict[int, MaskPatches]
    similarities: dict[int, float] = field(default_factory=dict)

    @property
    def object_id(self) -> int:
        return self.start.object_id

    @property
    def similarity(self) -> float:
        return self.start.similarity


@dataclass
class MaskTube:
    """One object through the video: frame -> ``MaskPatches`` of length 1, and the tracklets linked into it."""

    object_id: int
    patches: dict[int, MaskPatches] = field(default_factory=dict)
    tracklets: list[Tracklet] = field(default_factory=list)


@dataclass
class PropagationState:
    """R masks on their way through the video.

    ``frames`` and ``object_ids`` (lists of length R) say where and whose each row of ``patches`` is;
    ``memory`` and ``template`` (R, ...), or None, are the propagator's own: what is carried from frame to frame, and
    what stays as it was at the starting points; ``least_side`` (R,): the pixels a side below which a row ends, None
    where nobody asks.
    """

    frames: list[int]
    object_ids: list[int]
    patches: MaskPatches
    memory: Tensor | None = None
    template: TemplateFeatures | None = None
    least_side: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, rows: Sequence[int]) -> PropagationState:
        """The given rows, in the given order."""

        chosen = list(rows)

        def of(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[chosen]

        return PropagationState(
            [self.frames[r] for r in rows],
            [self.object_ids[r] for r in rows],
            self.patches[rows],
            of(self.memory),
            None if self.template is None else self.template[chosen],
            of(self.least_side),
        )
