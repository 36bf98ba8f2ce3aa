"""A tracklet ends where its masks no longer look like its object: on embeddings made by hand."""

from __future__ import annotations

import torch

from dyenet.inference.config import VerificationConfig
from dyenet.inference.verification import Verification, compare
from dyenet.structures import MaskPatches, StartingPoint, Template, Tracklet

MASK = MaskPatches(torch.tensor([[0.0, 0, 8, 8]]), torch.ones(1, 4, 4))
ALL = list(range(30))


class Embeds:
    """What is masked looks like the template by ``levels[frame]``, and by 0.8, as is usual, where there is none."""

    def __init__(self, levels: dict[int, float]) -> None:
        self.levels = levels

    def embed(self, frame: int, boxes: torch.Tensor, masks: MaskPatches) -> torch.Tensor:
        level = self.levels.get(frame, 0.8)
        return torch.tensor([[level, (1 - level**2) ** 0.5]]).repeat(len(masks), 1)


def template(object_id: int, level: float = 1.0) -> Template:
    return Template(object_id, 0, MASK, torch.tensor([level, (1 - level**2) ** 0.5]))


def cut(
    levels: dict[int, float],
    *,
    start: int = 0,
    given: bool = True,
    times: int = 2,
    own: float = 1.0,
    after: dict[int, float] | None = None,
    rivals: bool = False,
) -> list[int]:
    """What is left of the frames 0 to 29 of object 1 at a least share of 0.5, so of 0.4 by the usual 0.8.

    With ``after``, the tracklet is verified after a given one with these levels.
    """
    verification = Verification(VerificationConfig(min_share=0.5, times=times))
    templates = [template(1, own), template(2, 0.0)]

    def verified(point: StartingPoint, levels: dict[int, float]) -> Tracklet:
        tracklet = Tracklet(point, dict.fromkeys(ALL, MASK))
        more_like_2 = compare(tracklet, templates, Embeds(levels))
        verification.cut_where_lost(tracklet, more_like_2 if rivals else ())
        assert tracklet.similarities.keys() == tracklet.patches.keys()
        return tracklet

    if after is not None:
        verified(StartingPoint(1, 0, MASK, given=True), after)
    track = verified(StartingPoint(1, start, MASK, given=given), levels)
    return sorted(track.patches)


def test_it_ends_before_the_first_of_the_masks_that_look_like_something_else():
    assert cut({16: 0.39, 17: 0.39}) == ALL[:16]
    assert cut(dict.fromkeys(range(14, 30), 0.3)) == ALL[:14]
    assert cut({16: 0.41, 17: 0.41}) == ALL


def test_one_mask_alone_is_forgiven():
    assert cut({13: 0.0, 15: 0.0, 17: 0.0}) == ALL
    assert cut({13: 0.0, 15: 0.0}, times=1) == ALL[:13]
    assert cut({29: 0.0}) == ALL  # the tracklet ends before there is a second


def test_it_ends_in_the_other_direction_too():
    assert cut({2: 0.3, 3: 0.3}, start=16) == ALL[4:]
    assert cut({2: 0.3, 3: 0.3, 28: 0.3, 29: 0.3}, start=16) == ALL[4:28]


def test_what_is_usual_is_the_median_near_the_given_mask():
    low = dict.fromkeys(range(1, 30), 0.5)  # so masks below 0.25 are wrong
    assert cut({**low, 20: 0.26, 21: 0.26}) == ALL
    assert cut({**low, 20: 0.24, 21: 0.24}) == ALL[:20]
    assert cut({**dict.fromkeys(range(1, 5), 0.0), 20: 0.41, 21: 0.41}) == [0]  # 4 of the 9 are wrong
    assert cut({**dict.fromkeys(range(10, 30), 0.41)}) == ALL  # the far ones do not count


def test_a_retrieved_tracklet_is_measured_by_the_given_one():
    assert cut({20: 0.39, 21: 0.39}, given=False, start=15, after={}) == ALL[:20]
    usual = dict.fromkeys(range(1, 10), 0.5)
    assert cut({20: 0.39, 21: 0.39}, given=False, start=15, after=usual) == ALL
    assert cut(dict.fromkeys(ALL, 0.0), given=False, start=4, after={}) == [4]  # the starting mask stays


def test_without_a_given_tracklet_nothing_is_cut():
    assert cut(dict.fromkeys(range(10, 30), 0.0), given=False) == ALL


def test_only_the_object_s_own_templates_count():
    looks_like_2 = dict.fromkeys(range(10, 30), 0.0)
    assert cut(looks_like_2) == ALL[:10]
    assert cut(looks_like_2, own=0.6) == ALL  # to its template 0.8, where 0.96 is usual


def test_a_retrieved_mask_that_looks_more_like_another_object_counts_as_lost():
    """To the other object's template it has 0.8 where its own level is 0.6, which is above 0.4."""
    like_2 = {20: 0.6, 21: 0.6, 25: 0.75}
    assert cut(like_2, given=False, start=15, after={}, rivals=True) == ALL[:20]
    assert cut(like_2, given=False, start=15, after={}) == ALL
    assert cut(like_2, rivals=True) == ALL  # a given one is taken to know better


def test_frames_in_which_another_object_is_more_similar():
    tracklet = Tracklet(StartingPoint(1, 0, MASK), dict.fromkeys(range(4), MASK))
    looks = Embeds({0: 0.9, 1: 0.6, 2: 0.71, 3: 0.70})
    assert compare(tracklet, [template(1), template(2, 0.0), template(3, -1.0)], looks) == {1, 3}
    assert compare(tracklet, [template(1)], looks) == set()
