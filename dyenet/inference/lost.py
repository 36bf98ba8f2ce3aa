"""Where a tracklet has lost its object: not in the papers, which end it only where its mask gets small."""

from __future__ import annotations

from collections.abc import Sequence

from dyenet.inference.protocols import Retriever
from dyenet.inference.templates import embed_masks, similarities
from dyenet.structures import Template, Tracklet


def cut_where_lost(
    tracklet: Tracklet,
    templates: Sequence[Template],
    retriever: Retriever,
    *,
    min_similarity: float,
    check_step: int,
) -> None:
    """Takes from ``tracklet`` all masks from the first one on, in either direction from its start, whose box has a
    similarity below ``min_similarity`` to every template of its object. Every ``check_step``-th mask is looked at.
    """
    start = tracklet.start.frame
    after = sorted(f for f in tracklet.patches if f > start)
    before = sorted((f for f in tracklet.patches if f < start), reverse=True)
    for frames in (after, before):
        for position in range(check_step - 1, len(frames), check_step):
            frame = frames[position]
            embedding = embed_masks([(frame, tracklet.patches[frame])], retriever)
            if similarities(embedding, templates, [tracklet.object_id]).item() < min_similarity:
                for lost in frames[position:]:
                    del tracklet.patches[lost]
                break
