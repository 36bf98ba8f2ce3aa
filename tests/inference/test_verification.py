"""A tracklet ends where its masks no longer look like its object: on embeddings made by hand."""

from __future__ import annotations

import torch

from dyenet.inference.config import VerificationConfig
from dyenet.inference.verification import cut_where_lost
from dyenet.structures import MaskPatches, StartingPoint, Template, Tracklet

MASK = MaskPatches(torch.tensor([[0.0, 0, 8, 8]]), torch.ones(1, 4, 4))


class Embeds:
    """What is masked looks like the template by ``levels[frame]``, and perfectly where there is none."""

    def __init__(self, levels: dict[int, float]) -> None:
        self.levels = levels

    def embed(self, frame: int, boxes: torch.Tensor, masks: MaskPatches) -> torch.Tensor:
        level = self.levels.get(frame, 1.0)
        return torch.tensor([[level, (1 - level**2) ** 0.5]]).repeat(len(masks), 1)


def cut(levels: dict[int, float], *, start: int = 0, times: int = 2, template: float = 1.0) -> list[int]:
    """What is left of the frames 0 to 9 of object 1 at a least similarity of 0.5; object 2 looks like nothing else."""
    track = Tracklet(StartingPoint(1, start, MASK), dict.fromkeys(range(10), MASK))
    own = torch.tensor([template, (1 - template**2) ** 0.5])
    templates = [Template(1, 0, MASK, own), Template(2, 0, MASK, torch.tensor([0.0, 1.0]))]
    cut_where_lost(track, templates, Embeds(levels), VerificationConfig(min_similarity=0.5, times=times))
    return sorted(track.patches)


ALL = list(range(10))


def test_it_ends_before_the_first_of_the_masks_that_look_like_something_else():
    assert cut({6: 0.4, 7: 0.4}) == [0, 1, 2, 3, 4, 5]
    assert cut(dict.fromkeys(range(4, 10), 0.4)) == [0, 1, 2, 3]
    assert cut({6: 0.5, 7: 0.5}) == ALL  # the least similarity is enough


def test_one_mask_alone_is_forgiven():
    assert cut({3: 0.0, 5: 0.0, 7: 0.0}) == ALL
    assert cut({3: 0.0, 5: 0.0}, times=1) == [0, 1, 2]
    assert cut({9: 0.0}) == ALL  # the tracklet ends before there is a second


def test_it_ends_in_the_other_direction_too():
    assert cut({2: 0.4, 3: 0.4}, start=6) == [4, 5, 6, 7, 8, 9]
    assert cut({2: 0.4, 3: 0.4, 8: 0.4, 9: 0.4}, start=6) == [4, 5, 6, 7]


def test_the_starting_mask_stays():
    assert cut(dict.fromkeys(ALL, 0.0), start=4) == [4]


def test_only_the_object_s_own_templates_count():
    assert cut(dict.fromkeys(range(1, 10), 0.0)) == [0]  # all look just like object 2
    assert cut(dict.fromkeys(range(1, 10), 0.0), template=0.6) == ALL  # cosine 0.8
