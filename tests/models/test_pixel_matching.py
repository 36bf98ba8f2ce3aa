import math

import pytest
import torch

from dyenet.models.pixel_matching import (
    RECENT_WEIGHT,
    RIVAL_WEIGHT,
    SMALLEST,
    FineMatching,
    PixelMatching,
    recent_weights,
    template_weights,
)

# One cell of the object, one beside it, opposite in the first channel: their mean is 0.
TEMPLATE = torch.tensor([[[[1.0, -1.0]], [[0.0, 0.0]], [[1.0, 0.0]]]])  # (1, 2 channels and the mask, 1, 2)


def cells(*values: tuple[float, float]) -> torch.Tensor:
    """(1, 2, 1, n)."""
    return torch.tensor(values).T[None, :, None]


def test_cells_are_the_object_s_or_not_by_the_most_similar_cell_of_the_template():
    odds = PixelMatching(in_channels=2)(cells((3.0, 0.0), (-0.5, 0.0)), TEMPLATE)
    certain = -math.log(SMALLEST)  # as sure as the template's mask may be
    assert odds.flatten().tolist() == pytest.approx([certain, -certain], abs=1e-3)


def test_a_cell_that_is_like_nothing_in_the_template_is_beside_the_object():
    """Its cosines are 0, less than the 0.3 of what is unknown: log odds 30 (0 - 0.3)."""
    odds = PixelMatching(in_channels=2)(cells((0.0, 1.0)), TEMPLATE)
    assert odds.item() == pytest.approx(-30 * 0.3, abs=1e-3)


def test_what_all_cells_of_the_template_share_tells_nothing():
    matching = PixelMatching(in_channels=2)
    roi = torch.randn(1, 2, 3, 3)
    shift = torch.tensor([5.0, -7.0])[None, :, None, None]
    moved = TEMPLATE.clone()
    moved[:, :2] += shift
    assert torch.allclose(matching(roi, TEMPLATE), matching(roi + shift, moved), atol=1e-4)


def test_every_row_has_its_own_template():
    other = TEMPLATE.clone()
    other[:, 2] = 1 - other[:, 2]  # the object is the other cell
    odds = PixelMatching(in_channels=2)(
        cells((3.0, 0.0)).expand(2, -1, -1, -1), torch.cat([TEMPLATE, other])
    ).flatten()
    assert odds[0].item() == pytest.approx(-odds[1].item(), abs=1e-3)


def test_what_is_like_another_object_is_beside_this_one():
    """A cell like the rival's two has its cosine of 1 with it and 0 with the template's own."""
    rivals = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]]])  # the second only fills up
    matching = PixelMatching(in_channels=2)
    like_rival, like_object = matching(cells((0.0, 1.0), (3.0, 0.0)), TEMPLATE, rivals).flatten().tolist()
    expected = -math.log(math.exp(30 * 0.3) + 2 * RIVAL_WEIGHT * math.exp(30)) + math.log(1 + math.exp(-37))
    assert like_rival == pytest.approx(expected, abs=1e-2)
    assert like_object == pytest.approx(-math.log(SMALLEST), abs=1e-3)  # as without rivals


def test_what_the_object_looked_like_lately_counts_with_it_a_little():
    """One cell like what the mask has shown since then, and one like what was beside it; the template shows neither."""
    recent = torch.cat([cells((0.0, 2.0), (0.0, -2.0)), recent_weights(torch.tensor([[[0.8, 0.0]]]))], dim=1)
    matching = PixelMatching(in_channels=2)
    roi = cells((0.0, 1.0), (0.0, -1.0))
    unknown = math.exp(30 * (0.3 - 1))
    nothing = math.exp(-30)  # the template's own two cells have cosines of 0
    own = math.log(nothing + RECENT_WEIGHT / 2) - math.log(nothing + unknown)
    beside = math.log(nothing) - math.log(nothing + unknown + RECENT_WEIGHT)
    odds = matching(roi, TEMPLATE, recent=recent).flatten().tolist()
    assert odds == pytest.approx([own, beside], abs=1e-3)
    twice = matching(roi, TEMPLATE, torch.tensor([[[0.0], [2.0], [2.0]]]), recent).flatten().tolist()
    rival = math.log(nothing + RECENT_WEIGHT / 2) - math.log(nothing + unknown + 2 * RIVAL_WEIGHT)
    assert twice == pytest.approx([rival, beside], abs=1e-3)


def test_recent_masks_count_where_they_are_sure():
    weights = recent_weights(torch.tensor([[[1.0, 0.8, 0.6, 0.5, 0.2, 0.0]]]))[0, :, 0]
    expected = torch.tensor([[1.0, 0.5, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.5, 1.0]])
    assert torch.allclose(weights, RECENT_WEIGHT * expected, atol=1e-6)


def test_parts_of_a_rival_are_means_over_its_mask_and_know_how_many_cells_they_have():
    template = torch.zeros(1, 3, 2, 4)
    template[:, 0] = torch.tensor([[1.0, 2.0, 5.0, 5.0], [3.0, 4.0, 5.0, 5.0]])
    template[:, 2, 0, :2] = 1  # the object: the cells of 1 and 2
    assert PixelMatching.parts(template)[0].T.tolist() == [[1.5, 0.0, 2.0], [0.0, 0.0, 0.0]]


# A picture of one channel beside another, in two blocks; the object is the upper half of the left one.
PICTURE = torch.zeros(1, 2, 4, 8)
PICTURE[:, 0, :2, :4], PICTURE[:, 0, 2:, :4], PICTURE[:, 1, :, 4:] = 3.0, -1.0, 2.0
UPPER_LEFT = torch.zeros(1, 4, 8)
UPPER_LEFT[:, :2, :4] = 1


def test_parts_are_the_means_of_a_block_s_object_and_of_what_is_beside_it():
    parts = FineMatching.parts(PICTURE, template_weights(UPPER_LEFT))
    assert parts.shape == (1, 2, 3, 1, 2)
    own, beside = parts[0, :, :, 0].unbind(0)
    assert own.T.tolist() == [[3.0, 0.0, 0.5], [0.0, 0.0, 0.0]]
    assert beside.T.tolist() == [[-1.0, 0.0, 0.5], [0.0, 2.0, 1.0]]


def test_fine_matching_finds_the_object_s_part_again():
    """Less the mean (0.5, 1) of the template, parts are (2.5, -1) of the object, (-1.5, -1) and (-0.5, 1) beside it."""
    odds = FineMatching(in_channels=2)(PICTURE, FineMatching.parts(PICTURE, template_weights(UPPER_LEFT)))[0]
    length = math.hypot
    with_left = (-2.5 * 1.5 + 1) / (length(2.5, 1) * length(1.5, 1))
    with_right = (-2.5 * 0.5 - 1) / (length(2.5, 1) * length(0.5, 1))
    no_object = 1e-6 * math.exp(10 * with_right_of_nothing())
    inside = math.log(0.5 * math.exp(10) + no_object)
    outside = math.log(0.5 * math.exp(10 * with_left) + math.exp(10 * with_right))
    assert odds[0, 0].item() == pytest.approx(inside - outside, abs=1e-3)
    assert (odds[:2, :4] > 5).all()
    assert (odds[2:, :4] < -5).all()
    assert (odds[:, 4:] < -5).all()


def test_fine_matching_too_takes_what_is_like_another_object_to_be_beside_this_one():
    rivals = torch.tensor([[[0.5], [3.0], [1.0]]])  # less the mean: (0, 2)
    matching, parts = FineMatching(in_channels=2), FineMatching.parts(PICTURE, template_weights(UPPER_LEFT))
    seen = PICTURE.clone()
    seen[0, :, 0, 0] = torch.tensor([0.5, 5.0])  # less the mean: (0, 4), like the rival
    with torch.no_grad():
        without, among = matching(seen, parts)[0], matching(seen, parts, rivals)[0]
    best = math.exp(10 / math.hypot(0.5, 1))  # of what is beside the object, (-0.5, 1)
    assert (without[0, 0] - among[0, 0]).item() == pytest.approx(
        math.log1p(RIVAL_WEIGHT * math.exp(10) / best), abs=1e-2
    )
    assert among[0, 1] > 5  # like the object


def test_fine_matching_too_hears_what_the_object_looked_like_lately():
    """By now the left block's lower half is the object's, too, and where it still was beside it, is not sure."""
    matching, parts = FineMatching(in_channels=2), FineMatching.parts(PICTURE, template_weights(UPPER_LEFT))
    mask = UPPER_LEFT.clone()
    mask[:, 2:, :4], mask[:, :2, :4] = 1.0, 0.5
    recent = FineMatching.parts(PICTURE, recent_weights(mask))
    assert recent[0, 0, -1].flatten().tolist() == pytest.approx([RECENT_WEIGHT / 2, 0.0])
    assert recent[0, 1, -1].flatten().tolist() == pytest.approx([0.0, RECENT_WEIGHT])
    with torch.no_grad():
        before, now = matching(PICTURE, parts)[0], matching(PICTURE, parts, recent=recent)[0]
    inside = math.exp(before[2, 0].item())  # of one part beside the object, whose cosine is 1 and share 0.5
    like_it = 0.5 + math.exp(10 * (math.cos(math.atan2(1, -0.5) - math.atan2(-1, -1.5)) - 1))
    assert math.exp(now[2, 0].item()) == pytest.approx(
        (inside * like_it + RECENT_WEIGHT / 2) / (like_it + RECENT_WEIGHT * (like_it - 0.5)), rel=1e-2
    )
    assert (now[:2, :4] > 5).all()


def with_right_of_nothing() -> float:
    """The cosine of the object's cells with a block that shows none of it: all 0, less the mean."""
    return (-2.5 * 0.5 + 1) / (math.hypot(2.5, 1) * math.hypot(0.5, 1))
