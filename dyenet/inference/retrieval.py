"""Retrieval: candidates of every frame matched to every template become starting points (Sec. 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.protocols import Propagator, Retriever
from dyenet.inference.templates import embed_masks, nearest_given, similarities
from dyenet.structures import Candidates, MaskPatches, StartingPoint, Template


@dataclass(frozen=True)
class Match:
    """Candidate ``row`` of a frame starts ``object_id``; ``alternatives`` as in ``StartingPoint``."""

    row: int
    object_id: int
    similarity: float
    alternatives: tuple[tuple[int, float], ...] = ()


NEARLY = 0.05
"""A part of an object is as similar to it as the whole, so a larger mask that is less similar by this counts more."""


def match(
    scores: Tensor, object_ids: Sequence[int], config: RetrievalConfig, areas: Tensor | None = None
) -> list[Match]:
    """The candidates of a frame that are similar enough to an object, by their ``scores`` (M, K) for ``object_ids``: of
    each object the best one, or every one (``config.per_frame``). With the ``areas`` (M, K) of the masks in them the
    best one is the largest of those that are within ``NEARLY`` of the most similar one.
    """
    if not scores.numel():
        return []
    allowed = scores > config.similarity_threshold
    if config.identity == "best":
        allowed &= torch.zeros_like(allowed).scatter(1, scores.argmax(dim=1, keepdim=True), True)
    if config.per_frame == "best":
        ranks = torch.where(allowed, scores, -2.0)
        if areas is not None:
            near = allowed & (ranks >= ranks.amax(dim=0) - NEARLY)
            ranks = torch.where(near, areas, -2.0)
        best = ranks.argmax(dim=0, keepdim=True)
        allowed &= torch.zeros_like(allowed).scatter(0, best, True)
    matches = []
    for column, row in allowed.T.nonzero().tolist():
        object_id = object_ids[column]
        others = [
            (i, float(scores[row, c]))
            for c, i in enumerate(object_ids)
            if c != column and scores[row, c] > config.similarity_threshold
        ]
        others.sort(key=lambda pair: -pair[1])
        matches.append(Match(row, object_id, float(scores[row, column]), tuple(others)))
    return matches


Masks = dict[tuple[int, int], MaskPatches]
"""Of one frame, by the row of a candidate and the id of an object."""
Recover = Callable[[Sequence[tuple[int, int]]], Masks]
"""The masks of such pairs."""


@dataclass
class Retrieval:
    """Finds starting points round by round. A box's mask is always the same: those of starting points are kept, and of
    a second look, which is at many more, embedding and area.
    """

    retriever: Retriever
    propagator: Propagator
    config: RetrievalConfig
    # By frame, row and object id:
    _recovered: dict[tuple[int, int, int], MaskPatches] = field(default_factory=dict)
    _looks: dict[tuple[int, int, int], tuple[Tensor, float]] = field(default_factory=dict)

    def starting_points(
        self,
        frames: Sequence[int],
        templates: Sequence[Template],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[StartingPoint]:
        """Those of ``frames``, most similar first; none for an object in a frame where its mask is given."""
        masks = [t for t in templates if t.given]
        given = {(t.object_id, t.frame) for t in masks}
        object_ids, points = sorted({t.object_id for t in templates}), []
        for done, frame in enumerate(frames, start=1):
            candidates = self.retriever.candidates(frame)
            nearest = nearest_given(masks, frame)
            scores = similarities(candidates.embeddings, templates, object_ids)  # (M, K)
            recover = partial(self._recover, frame, candidates, nearest)
            areas, seen = None, Masks()
            if self.config.second_look is not None:
                again = scores > self.config.second_look
                scores, areas, seen = self._second_look(frame, scores, again, templates, object_ids, recover)
            found = match(scores, object_ids, self.config, areas)
            matches = [m for m in found if (m.object_id, frame) not in given]
            self._keep(frame, [(m.row, m.object_id) for m in matches], seen, recover)
            for m in matches:
                patch = self._recovered[frame, m.row, m.object_id]
                if patch.areas().item() > 0:
                    points.append(
                        StartingPoint(
                            m.object_id,
                            frame,
                            patch,
                            m.similarity,
                            alternatives=m.alternatives,
                            template=nearest[m.object_id],
                        )
                    )
            if progress is not None:
                progress(done, len(frames))
        return sorted(points, key=lambda p: -p.similarity)

    def _second_look(
        self,
        frame: int,
        scores: Tensor,
        again: Tensor,
        templates: Sequence[Template],
        object_ids: Sequence[int],
        recover: Recover,
    ) -> tuple[Tensor, Tensor, Masks]:
        """``scores`` (M, K); where ``again`` (M, K) says so, those of the masks that are found when it is known whose
        they should be, or -1 where none is. The areas (M, K) of these masks, 0 elsewhere. And those found just now.
        """
        scores, areas = scores.clone(), torch.zeros_like(scores)
        pairs = [(row, object_ids[column]) for row, column in again.nonzero().tolist()]
        new = recover([pair for pair in pairs if (frame, *pair) not in self._looks])
        if new:
            embeddings = embed_masks([(frame, patch) for patch in new.values()], self.retriever)
            for (pair, patch), embedding in zip(new.items(), embeddings, strict=True):
                self._looks[frame, *pair] = embedding, patch.areas().item()
        for row, object_id in pairs:
            at = row, object_ids.index(object_id)
            embedding, areas[at] = self._looks[frame, row, object_id]
            look = similarities(embedding[None], templates, [object_id])
            scores[at] = look.item() if areas[at] > 0 else -1.0
        return scores, areas, new

    def _keep(self, frame: int, pairs: Sequence[tuple[int, int]], seen: Masks, recover: Recover) -> None:
        """Keeps the masks of ``pairs``, those that were just ``seen`` or are found now, without the others of their
        batch.
        """
        new = [pair for pair in pairs if (frame, *pair) not in self._recovered]
        found = seen | recover([pair for pair in new if pair not in seen])
        for pair in new:
            patch = found[pair]
            self._recovered[frame, *pair] = MaskPatches(patch.boxes.clone(), patch.probabilities.clone())

    def _recover(
        self,
        frame: int,
        candidates: Candidates,
        nearest: Mapping[int, Template],
        pairs: Sequence[tuple[int, int]],
    ) -> Masks:
        if not pairs:
            return {}
        boxes = candidates.boxes[[row for row, _ in pairs]]
        patches = self.propagator.recover(frame, boxes, [nearest[object_id] for _, object_id in pairs])
        return dict(zip(pairs, patches, strict=True))
