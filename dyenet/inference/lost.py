"""Where a tracklet has lost its object: not in the papers, which end it only where its mask gets small."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dyenet.inference.config import LostConfig
from dyenet.inference.protocols import Retriever
from dyenet.inference.templates import embed_masks, similarities
from dyenet.structures import StartingPoint, Template, Tracklet, paired_iou


def cut_where_lost(
    tracklet: Tracklet,
    points: Sequence[StartingPoint],
    templates: Sequence[Template],
    retriever: Retriever,
    config: LostConfig,
) -> None:
    """Takes from ``tracklet`` what follows, in either direction from its start, the loss of its object.

    It is lost when ``points`` (most similar first) of its object in ``times`` frames running lie elsewhere, with an IoU
    below ``max_iou``, and are more similar to the object's templates than the tracklet's mask by more than ``margin``.
    It then ends at its last mask before them that is as similar as they are but for ``margin``; of its masks in between
    every ``check_step``-th is looked at.
    """
    best: dict[int, StartingPoint] = {}
    for point in points:
        if point.object_id == tracklet.object_id and point.frame in tracklet.patches:
            best.setdefault(point.frame, point)

    def similarity(frame: int) -> float:
        embedding = embed_masks([(frame, tracklet.patches[frame])], retriever)
        return similarities(embedding, templates, [tracklet.object_id]).item()

    start = tracklet.start.frame
    after = sorted(f for f in tracklet.patches if f > start)
    before = sorted((f for f in tracklet.patches if f < start), reverse=True)
    for frames in (after, before):
        for lost in frames[_seen_up_to(frames, tracklet, best, similarity, config) :]:
            del tracklet.patches[lost]


def _seen_up_to(
    frames: Sequence[int],
    tracklet: Tracklet,
    best: Mapping[int, StartingPoint],
    similarity: Callable[[int], float],
    config: LostConfig,
) -> int:
    """How many of ``frames``, which lead away from the start, the tracklet still has its object in."""
    assert config.margin is not None
    run: list[int] = []  # positions of contested frames, one after the other
    for position, frame in enumerate(frames):
        if frame not in best:
            continue
        elsewhere = paired_iou(best[frame].patch, tracklet.patches[frame]).item() < config.max_iou
        contested = elsewhere and best[frame].similarity - similarity(frame) > config.margin
        run = [*run, position] if contested else []
        if len(run) == config.times:
            break
    else:
        return len(frames)
    level = min(best[frames[p]].similarity for p in run) - config.margin
    last = run[0] - 1
    while last >= 0 and similarity(frames[last]) < level:
        last -= config.check_step
    return max(last, -1) + 1
