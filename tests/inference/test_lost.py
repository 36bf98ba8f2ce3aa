"""A tracklet ends where its box no longer looks like its object: on embeddings made by hand."""

from __future__ import annotations

import torch

from dyenet.inference.lost import cut_where_lost
from dyenet.structures import MaskPatches, StartingPoint, Template, Tracklet

OWN, OTHER = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])


class Embeds:
    """An object that is itself in the frames ``seen``."""

    def __init__(self, seen: range) -> None:
        self.seen, self.asked = seen, []

    def embed(self, frame: int, boxes: torch.Tensor) -> torch.Tensor:
        self.asked.append(frame)
        return (OWN if frame in self.seen else OTHER)[None]


def tracklet(first: int, start: int, last: int) -> Tracklet:
    patch = MaskPatches(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.ones(1, 4, 4))
    return Tracklet(StartingPoint(1, start, patch), dict.fromkeys(range(first, last + 1), patch))


def cut(track: Tracklet, retriever: Embeds, **options: float) -> list[int]:
    templates = [Template(1, 0, track.start.patch, OWN), Template(2, 0, track.start.patch, OTHER)]
    cut_where_lost(track, templates, retriever, **{"min_similarity": 0.5, "check_step": 1, **options})
    return sorted(track.patches)


def test_it_ends_in_either_direction_at_the_first_mask_that_is_something_else():
    assert cut(tracklet(0, 5, 10), Embeds(range(3, 8))) == [3, 4, 5, 6, 7]


def test_a_look_at_every_other_mask_is_enough():
    retriever = Embeds(range(3, 8))
    assert cut(tracklet(0, 5, 10), retriever, check_step=2) == [2, 3, 4, 5, 6, 7, 8]
    assert retriever.asked == [7, 9, 3, 1]


def test_the_starting_mask_stays_and_nothing_is_cut_where_all_is_well():
    assert cut(tracklet(4, 5, 6), Embeds(range(0))) == [5]
    assert cut(tracklet(0, 5, 10), Embeds(range(11))) == list(range(11))
