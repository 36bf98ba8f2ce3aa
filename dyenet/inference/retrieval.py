"""Retrieval: candidates of every frame matched to every template become starting points (Sec. 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.protocols import Propagator, Retriever
from dyenet.inference.templates import similarities
from dyenet.structures import Candidates, MaskPatches, StartingPoint, Template


@dataclass(frozen=True)
class Match:
    """Candidate ``row`` of a frame starts ``object_id``; ``alternatives`` as in ``StartingPoint``."""

    row: int
    object_id: int
    similarity: float
    alternatives: tuple[tuple[int, float], ...] = ()


def match(candidates: Candidates, templates: Sequence[Template], config: RetrievalConfig) -> list[Match]:
    """The candidates of a frame that are similar enough to any template of an object: of each object the best one,
    or every one (``config.per_frame``).
    """
    object_ids = sorted({t.object_id for t in templates})
    if not len(candidates) or not object_ids:
        return []
    scores = similarities(candidates.embeddings, templates, object_ids)  # (M, K)
    allowed = scores > config.similarity_threshold
    if config.identity == "best":
        allowed &= torch.zeros_like(allowed).scatter(1, scores.argmax(dim=1, keepdim=True), True)
    if config.per_frame == "best":
        best = torch.where(allowed, scores, -2.0).argmax(dim=0, keepdim=True)
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


@dataclass
class Retrieval:
    """Finds starting points round by round; recovered masks are kept, for a box's mask is always the same."""

    retriever: Retriever
    propagator: Propagator
    config: RetrievalConfig
    _recovered: dict[tuple[int, int, int], MaskPatches] = field(default_factory=dict)

    def starting_points(
        self,
        frames: Sequence[int],
        templates: Sequence[Template],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[StartingPoint]:
        """Those of ``frames``, most similar first; none for an object in a frame where its mask is given."""
        given = {(t.object_id, t.frame) for t in templates if t.given}
        first = {t.object_id: t for t in reversed(templates)}  # the given template comes first
        points = []
        for done, frame in enumerate(frames, start=1):
            candidates = self.retriever.candidates(frame)
            matches = [
                m for m in match(candidates, templates, self.config) if (m.object_id, frame) not in given
            ]
            self._recover(frame, candidates, matches, first)
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
                            template=first[m.object_id],
                        )
                    )
            if progress is not None:
                progress(done, len(frames))
        return sorted(points, key=lambda p: -p.similarity)

    def _recover(
        self, frame: int, candidates: Candidates, matches: Sequence[Match], first: Mapping[int, Template]
    ) -> None:
        new = [m for m in matches if (frame, m.row, m.object_id) not in self._recovered]
        if not new:
            return
        boxes = candidates.boxes[[m.row for m in new]]
        patches = self.propagator.recover(frame, boxes, [first[m.object_id] for m in new])
        for m, patch in zip(new, patches, strict=True):
            self._recovered[frame, m.row, m.object_id] = patch
