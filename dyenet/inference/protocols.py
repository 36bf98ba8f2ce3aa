"""The two protocols through which every schedule talks to a network, and nothing else of it.

DyeNet's heads (``inference/dyenet_retriever.py``, ``inference/dyenet_propagator.py``), the VS-ReID two-stream network
with a Faster R-CNN and the MSK baseline all implement them, so each runs under either schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from dyenet.structures import Candidates, MaskPatches, PropagationState, StartingPoint, Template


class Retriever(Protocol):
    """Finds where an object might be in a frame (DyeNet Sec. 3.1; VS-ReID Algorithm 2)."""

    def candidates(self, frame: int) -> Candidates:
        """The candidate boxes of a frame with their embeddings; the same for every template and round."""
        ...

    def embed(self, frame: int, boxes: Tensor, masks: MaskPatches | None = None) -> Tensor:
        """(R, D) embeddings of unit length of ``boxes`` (R, 4) in a frame; ``masks`` of what they show, where known."""
        ...


class Propagator(Protocol):
    """Carries masks from frame to frame (DyeNet Sec. 3.2; VS-ReID Algorithm 1)."""

    def meet(self, given: Sequence[StartingPoint]) -> None:
        """The given masks of all objects, before anything is asked about one of them."""
        ...

    def begin(self, starting_points: Sequence[StartingPoint]) -> PropagationState:
        """The state at the starting points, one row each, each in its own frame; rows may share a frame."""
        ...

    def step(self, state: PropagationState, targets: Sequence[int]) -> PropagationState:
        """Carries row r from ``state.frames[r]`` to the adjacent frame ``targets[r]``.

        A row whose object cannot be located any more (its warped mask is empty or too small to be seen)
        comes back with probabilities 0.
        """
        ...

    def recover(self, frame: int, boxes: Tensor, templates: Sequence[Template]) -> MaskPatches:
        """The masks of the templates' objects inside ``boxes`` (R, 4) of a frame; one template per box."""
        ...
