"""Where a tracklet has lost its object: not in the papers, which end it only where its mask gets small."""

from __future__ import annotations

from collections.abc import Sequence

from dyenet.inference.protocols import Retriever
from dyenet.inference.templates import similarities
from dyenet.structures import Template, Tracklet


def cut_where_lost(
    tracklet: Tracklet,
    templates: Sequence[Template],
    retriever: Retriever,
    *,
    min_similarity: float,
    frame_step: int,
) -> None:
    """Takes from ``tracklet`` all masks from the first one on, in either direction from its start, whose box has a
    similarity below ``min_similarity`` to every template of its object. Every ``frame_step``-th mask is looked at.
    """
    start = tracklet.start.frame
    after = sorted(f for f in tracklet.patches if f > start)
    before = sorted((f for f in tracklet.patches if f < start), reverse=True)
    for frames in (after, before):
        for position in range(frame_step - 1, len(frames), frame_step):
            box = tracklet.patches[frames[position]].tight_boxes()
            embedding = retriever.embed(frames[position], box)
            if similarities(embedding, templates, [tracklet.object_id]).item() < min_similarity:
                for frame in frames[position:]:
                    del tracklet.patches[frame]
                break
