"""How similar the masks of a tracklet are to the given ones, and so where it has lost its object. Not in the papers,
which end a tracklet only where its mask gets small.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from dyenet.inference.config import VerificationConfig
from dyenet.inference.protocols import Retriever
from dyenet.inference.templates import embed_masks, own_and_rival
from dyenet.structures import Template, Tracklet

NEAR = 9
"""Frames from a given mask in which its tracklet is taken to be right."""


def compare(tracklet: Tracklet, templates: Sequence[Template], retriever: Retriever) -> set[int]:
    """Sets ``tracklet.similarities``: of every mask the cosine to the most similar of its object's ``templates``.
    Returns the frames in which the mask is more similar to another object's.
    """
    frames = sorted(tracklet.patches)
    embeddings = embed_masks([(f, tracklet.patches[f]) for f in frames], retriever)
    own, rival = own_and_rival(embeddings, templates, tracklet.object_id)
    tracklet.similarities = dict(zip(frames, own.tolist(), strict=True))
    return {frames[row] for row in (rival > own).nonzero()[:, 0].tolist()}


class Verification:
    """Learns from the given tracklets how similar an object's masks usually are to the given ones: that differs between
    objects, and between trunks.
    """

    def __init__(self, config: VerificationConfig) -> None:
        assert config.min_share is not None
        self._share, self._times = config.min_share, config.times
        self._near: dict[int, list[float]] = {}

    def cut_where_lost(self, tracklet: Tracklet, another: Collection[int] = ()) -> None:
        """Ends ``tracklet``, compared before, in either direction from its start, before the first ``times`` masks
        running whose similarity is below ``min_share`` of the usual one: the median over what the object's given
        tracklets have within ``NEAR`` frames of their start. Without any such mask nothing is cut. A retrieved one's
        masks that look more like ``another`` object, in these frames, count as such, too.
        """
        start, similar = tracklet.start.frame, tracklet.similarities
        frames = sorted(f for f in tracklet.patches if f != start)
        near = self._near.setdefault(tracklet.object_id, [])
        if tracklet.start.given:
            near += [similar[f] for f in frames if abs(f - start) <= NEAR]
        if not near:
            return
        least = self._share * median(near)
        for direction in ([f for f in frames if f > start], [f for f in reversed(frames) if f < start]):
            run = 0
            for position, frame in enumerate(direction, start=1):
                lost = similar[frame] < least or (frame in another and not tracklet.start.given)
                run = run + 1 if lost else 0
                if run == self._times:
                    for cut in direction[position - run :]:
                        del tracklet.patches[cut], similar[cut]
                    break
