"""Where a tracklet has lost its object: not in the papers, which end it only where its mask gets small."""

from __future__ import annotations

from collections.abc import Sequence

from dyenet.inference.config import VerificationConfig
from dyenet.inference.protocols import Retriever
from dyenet.inference.templates import embed_masks, similarities
from dyenet.structures import Template, Tracklet


def cut_where_lost(
    tracklet: Tracklet, templates: Sequence[Template], retriever: Retriever, config: VerificationConfig
) -> None:
    """Ends ``tracklet``, in either direction from its start, before the first ``times`` masks running whose similarity
    to the object's templates is below ``min_similarity``.
    """
    assert config.min_similarity is not None
    start = tracklet.start.frame
    after = sorted(f for f in tracklet.patches if f > start)
    before = sorted((f for f in tracklet.patches if f < start), reverse=True)
    for frames in (after, before):
        if not frames:
            continue
        embeddings = embed_masks([(f, tracklet.patches[f]) for f in frames], retriever)
        similar = similarities(embeddings, templates, [tracklet.object_id])[:, 0] >= config.min_similarity
        run = 0
        for position, found in enumerate(similar.tolist(), start=1):
            run = 0 if found else run + 1
            if run == config.times:
                for lost in frames[position - run :]:
                    del tracklet.patches[lost]
                break
