"""A tracklet ends where its object is seen elsewhere: on embeddings made by hand."""

from __future__ import annotations

import torch

from dyenet.inference.config import LostConfig
from dyenet.inference.lost import cut_where_lost
from dyenet.structures import MaskPatches, StartingPoint, Template, Tracklet

OWN = torch.tensor([1.0, 0.0])


def patch(x: float) -> MaskPatches:
    return MaskPatches(torch.tensor([[x, 0.0, x + 8, 8.0]]), torch.ones(1, 4, 4))


class Embeds:
    """An object that looks like its template by ``levels[frame]``, and perfectly where there is none."""

    def __init__(self, levels: dict[int, float]) -> None:
        self.levels = levels

    def embed(self, frame: int, boxes: torch.Tensor) -> torch.Tensor:
        level = self.levels.get(frame, 1.0)
        return torch.tensor([[level, (1 - level**2) ** 0.5]])


def cut(
    levels: dict[int, float], points: list[tuple[int, float, float]], start: int = 0, **options: float
) -> list[int]:
    """What is left of the frames 0 to 9, with starting points (frame, x, similarity); the tracklet is at x = 0."""
    track = Tracklet(StartingPoint(1, start, patch(0)), {f: patch(0) for f in range(10)})
    found = [StartingPoint(1, f, patch(x), s) for f, x, s in points]
    config = LostConfig(margin=0.1, **{"check_step": 1, **options})
    cut_where_lost(track, found, [Template(1, 0, patch(0), OWN)], Embeds(levels), config)
    return sorted(track.patches)


ALL = list(range(10))
AWAY = dict.fromkeys(range(4, 10), 0.5)
"""It looks like something else from frame 4 on."""


def test_it_ends_before_it_stopped_to_look_like_its_object():
    assert cut(AWAY, [(6, 50, 0.9), (8, 50, 0.9)]) == [0, 1, 2, 3]
    assert cut(AWAY, [(6, 50, 0.9), (8, 50, 0.9)], check_step=2) == [0, 1, 2, 3]  # looks at 5 and 3
    assert cut(AWAY, [(7, 50, 0.9), (8, 50, 0.9)], check_step=2) == [0, 1, 2]  # at 6, 4 and 2


def test_it_ends_in_the_other_direction_too():
    assert cut(dict.fromkeys(range(6), 0.5), [(1, 50, 0.9), (3, 50, 0.9)], start=9) == [6, 7, 8, 9]


def test_the_starting_mask_stays():
    assert cut(dict.fromkeys(ALL, 0.5), [(3, 50, 0.9), (5, 50, 0.9)]) == [0]


def test_one_sight_elsewhere_is_not_enough():
    assert cut(AWAY, [(6, 50, 0.9)]) == ALL
    assert (
        cut(AWAY, [(6, 50, 0.9), (7, 0, 0.9), (8, 50, 0.9)]) == ALL
    )  # not running: on the tracklet in frame 7
    assert cut(AWAY, [(6, 50, 0.9)], times=1) == [0, 1, 2, 3]


def test_what_is_less_similar_or_overlaps_it_does_not_contest_it():
    assert cut(AWAY, [(6, 50, 0.55), (8, 50, 0.55)]) == ALL
    assert cut(AWAY, [(6, 4, 0.9), (8, 4, 0.9)]) == ALL  # an IoU of a third
    assert cut({}, [(6, 50, 0.99), (8, 50, 0.99)]) == ALL


def test_starting_points_of_other_objects_do_not_count():
    track = Tracklet(StartingPoint(1, 0, patch(0)), {f: patch(0) for f in range(10)})
    others = [StartingPoint(2, f, patch(50), 0.9) for f in (6, 8)]
    templates = [Template(1, 0, patch(0), OWN)]
    cut_where_lost(track, others, templates, Embeds(AWAY), LostConfig(margin=0.1))
    assert sorted(track.patches) == ALL
