"""Templates: the given masks, and confident masks of the tubes that are added after a round (Sec. 3, 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from dyenet.inference.config import ExpansionConfig
from dyenet.inference.protocols import Retriever
from dyenet.structures import MaskPatches, MaskTube, StartingPoint, Template

Given = TypeVar("Given", StartingPoint, Template)


def initial_templates(given: Sequence[StartingPoint], retriever: Retriever) -> list[Template]:
    """One template per given mask, embedded in the mask's tight box."""
    embeddings = embed_masks([(point.frame, point.patch) for point in given], retriever)
    return [
        Template(point.object_id, point.frame, point.patch, embedding)
        for point, embedding in zip(given, embeddings, strict=True)
    ]


def nearest_given(given: Iterable[Given], frame: int) -> dict[int, Given]:
    """Of every object, by its id, which of the ``given`` masks is nearest to ``frame``, the earlier of two as near."""
    far_first = sorted(given, key=lambda mask: (-abs(mask.frame - frame), -mask.frame))
    return dict(sorted({mask.object_id: mask for mask in far_first}.items()))


def similarities(embeddings: Tensor, templates: Sequence[Template], object_ids: Sequence[int]) -> Tensor:
    """(R, D) embeddings -> (R, K): the cosine to the most similar template of each object; -1 without any."""
    best = embeddings.new_full((len(embeddings), len(object_ids)), -1.0)
    for column, object_id in enumerate(object_ids):
        own = [t.embedding for t in templates if t.object_id == object_id]
        if own:
            best[:, column] = (embeddings @ torch.stack(own).T).amax(dim=1)
    return best


def own_and_rival(embeddings: Tensor, templates: Sequence[Template], object_id: int) -> tuple[Tensor, Tensor]:
    """(R, D) embeddings -> (R,) each: the similarity to an object and to the most similar other one; -1 without any."""
    others = sorted({t.object_id for t in templates} - {object_id})
    own = similarities(embeddings, templates, [object_id])[:, 0]
    rival = similarities(embeddings, templates, others).amax(dim=1) if others else torch.full_like(own, -1.0)
    return own, rival


def expand_templates(
    tubes: Mapping[int, MaskTube],
    templates: Sequence[Template],
    retriever: Retriever,
    config: ExpansionConfig,
    *,
    threshold: float,
) -> list[Template]:
    """The templates that the tubes add (reading D12), most similar first, without those there already.

    A mask is added if it is confident, similar enough to its object's templates as they were before this round,
    more similar to them than to any other object's by the margin, and no near duplicate. ``threshold`` is the
    least similarity where the config names none.
    """
    threshold = threshold if config.threshold is None else config.threshold
    added: list[Template] = []
    for tube in tubes.values():
        known = {t.frame for t in templates if t.object_id == tube.object_id}
        masks = [(f, p) for f, p in _confident_masks(tube, config) if f not in known]
        looks = [t.embedding for t in templates if t.object_id == tube.object_id]
        if not masks or not looks:
            continue
        embeddings = embed_masks(masks, retriever)
        own, rival = own_and_rival(embeddings, templates, tube.object_id)
        accepted = (own >= threshold) & (own - rival >= config.margin)
        room = config.max_per_round
        for row in own.argsort(descending=True, stable=True).tolist():
            if not accepted[row] or room == 0:
                continue
            if (torch.stack(looks) @ embeddings[row]).max() > config.duplicate_similarity:
                continue
            frame, patch = masks[row]
            similarity = float(own[row])
            added.append(
                Template(tube.object_id, frame, patch, embeddings[row], given=False, similarity=similarity)
            )
            looks.append(embeddings[row])
            room -= 1
    return added


def _confident_masks(tube: MaskTube, config: ExpansionConfig) -> list[tuple[int, MaskPatches]]:
    starts = {t.start.frame for t in tube.tracklets}
    frames = set()
    if config.source in ("both", "starting_points"):
        frames |= starts & tube.patches.keys()
    if config.source in ("both", "tube_masks"):
        frames |= set(sorted(tube.patches)[:: config.frame_step])
    patches = [(frame, tube.patches[frame]) for frame in sorted(frames)]
    return [(f, p) for f, p in patches if p.confidences().item() >= config.min_confidence]


def embed_masks(masks: Sequence[tuple[int, MaskPatches]], retriever: Retriever) -> Tensor:
    """(R, D): the masks' tight boxes embedded in their frames; one call per frame."""
    rows: dict[int, list[int]] = {}
    for row, (frame, _) in enumerate(masks):
        rows.setdefault(frame, []).append(row)
    found: dict[int, Tensor] = {}
    for frame, members in rows.items():
        patches = MaskPatches.cat([masks[row][1] for row in members])
        found.update(zip(members, retriever.embed(frame, patches.tight_boxes(), patches), strict=True))
    return torch.stack([found[row] for row in range(len(masks))])
