"""Linking: tracklets become one mask tube per object, greedily by similarity (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import torch
from torch import Tensor

from dyenet.inference.config import LinkingConfig
from dyenet.structures import MaskPatches, MaskTube, Tracklet, paired_iou


def link(tracklets: Sequence[Tracklet], config: LinkingConfig) -> dict[int, MaskTube]:
    """The tubes of the objects that have any tracklet, by object id.

    Tracklets of given masks are linked first and never rejected; where two of one object meet, the mask whose
    given mask is nearer in time stays. The others follow by falling similarity: one that contradicts its tube is
    left out (reading D16); otherwise it fills the frames that the tube lacks, and by ``shared_frames`` maybe those
    where its masks are more similar to the given ones than the tube's, for which all need their ``similarities``, by
    whose median they follow then; where it is, instead, more similar to its object than a mask of another's tube on
    which it lies to that one's, that mask is dropped.
    """
    tubes: dict[int, MaskTube] = {}
    owners: dict[tuple[int, int], Tracklet] = {}  # whose mask it is, by object id and frame

    def add(tracklet: Tracklet, object_id: int) -> None:
        tube = tubes.setdefault(object_id, MaskTube(object_id))
        tube.tracklets.append(tracklet)
        for frame, patch in tracklet.patches.items():
            owner = owners.get((object_id, frame))
            if owner is None or _replaces(tracklet, owner, frame, config):
                tube.patches[frame], owners[object_id, frame] = patch, tracklet

    for tracklet in (t for t in tracklets if t.start.given):
        add(tracklet, tracklet.object_id)
    others = [t for t in tracklets if not t.start.given]
    for tracklet in sorted(others, key=lambda t: _similarity(t, config), reverse=True):
        choices = [tracklet.object_id]
        if config.reassign:
            choices += [object_id for object_id, _ in tracklet.start.alternatives]
        for object_id in choices:
            contradicting, won = _claims(tracklet, object_id, tubes, owners, config)
            if len(contradicting) / len(tracklet.patches) <= config.max_contradicting_fraction:
                for other_id, frame in won:
                    del tubes[other_id].patches[frame], owners[other_id, frame]
                add(tracklet, object_id)
                break
    return {object_id: tubes[object_id] for object_id in sorted(tubes)}


def _similarity(tracklet: Tracklet, config: LinkingConfig) -> float:
    """What a tracklet is linked by. Found in a later round it is compared with templates that came in between, and
    nearer to these than an earlier one to the given masks; where all masks are compared with the given ones, that is
    what counts.
    """
    return (
        median(tracklet.similarities.values()) if config.shared_frames == "similar" else tracklet.similarity
    )


def _replaces(tracklet: Tracklet, owner: Tracklet, frame: int, config: LinkingConfig) -> bool:
    """Whether the mask of ``tracklet`` takes the place of that of ``owner``, linked before it, in a shared frame."""
    alike = tracklet.start.given == owner.start.given
    if alike and (tracklet.start.given or config.shared_frames == "nearest"):
        return abs(frame - tracklet.start.frame) < abs(frame - owner.start.frame)
    if tracklet.object_id != owner.object_id:  # one was reassigned
        return False
    return _more_similar(tracklet, owner, frame, config)


def _more_similar(tracklet: Tracklet, owner: Tracklet, frame: int, config: LinkingConfig) -> bool:
    """Whether ``tracklet`` is more similar to its object than ``owner`` to its own, and that counts."""
    if config.shared_frames != "similar":
        return False
    if owner.start.given and frame == tracklet.start.frame:  # found in a box, which may have cut it off
        return False
    return tracklet.similarities[frame] > owner.similarities[frame] + config.margin


def _claims(
    tracklet: Tracklet,
    object_id: int,
    tubes: Mapping[int, MaskTube],
    owners: Mapping[tuple[int, int], Tracklet],
    config: LinkingConfig,
) -> tuple[set[int], list[tuple[int, int]]]:
    """The frames in which the tracklet contradicts being a part of ``object_id``; and the masks of other tubes, by
    object id and frame, that give way if it is one.
    """
    own = tubes.get(object_id)
    with_own = _ious(tracklet, own) if own is not None else {}
    elsewhere = {frame for frame, iou in with_own.items() if iou < config.contradiction_iou}
    contradicting, won = set(elsewhere), []
    for other_id, tube in tubes.items():
        if other_id == object_id:
            continue
        for frame, iou in _ious(tracklet, tube).items():
            if iou < config.overlap_iou or iou <= with_own.get(frame, 0.0):
                continue
            owner = owners[other_id, frame]
            kept = tracklet.object_id == object_id and owner.object_id == other_id  # none was reassigned
            if kept and frame not in elsewhere and _more_similar(tracklet, owner, frame, config):
                won.append((other_id, frame))
            else:
                contradicting.add(frame)
    return contradicting, won


def _ious(tracklet: Tracklet, tube: MaskTube) -> dict[int, float]:
    """IoU by frame, where both have a mask that is not empty."""
    shared = sorted(tracklet.patches.keys() & tube.patches.keys())
    if not shared:
        return {}
    a = MaskPatches.cat([tracklet.patches[f] for f in shared])
    b = MaskPatches.cat([tube.patches[f] for f in shared])
    seen: Tensor = torch.minimum(a.areas(), b.areas()) > 0
    ious = paired_iou(a, b)
    return {f: float(iou) for f, iou, both in zip(shared, ious, seen, strict=True) if both}
