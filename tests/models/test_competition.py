"""``share_out`` on masks of 2 x 2 cells, worked by hand."""

from __future__ import annotations

import pytest
import torch

from dyenet.models.competition import share_out
from dyenet.structures import MaskPatches


def patches(boxes, probabilities):
    return MaskPatches(torch.tensor(boxes, dtype=torch.float32), torch.tensor(probabilities))


SAME = [[0, 0, 4, 4], [0, 0, 4, 4]]
ONE, TWO = [[0.8, 0.3], [0.9, 0.0]], [[0.6, 0.4], [0.9, 1.0]]


def test_the_less_probable_object_keeps_what_the_other_leaves():
    """0.6 beside 0.8 becomes 0.2; 0.3 is within the 0.6 that 0.4 leaves; of two equal ones neither gives way."""
    masks = patches(SAME, [ONE, TWO])
    left = share_out(masks, [5, 5], [1, 2])
    expected = torch.tensor([[[0.8, 0.3], [0.9, 0.0]], [[0.2, 0.4], [0.9, 1.0]]])
    assert torch.allclose(masks.probabilities * left, expected)


@pytest.mark.parametrize(("frames", "object_ids"), [([5, 6], [1, 2]), ([5, 5], [1, 1])])
def test_masks_of_other_frames_and_of_the_same_object_do_not_count(frames, object_ids):
    assert (share_out(patches(SAME, [ONE, TWO]), frames, object_ids) == 1).all()


def test_masks_compete_where_they_lie_in_the_frame():
    """The second box begins where the right half of the first one does; a third object is far away."""
    full = [[0.9, 0.9], [0.9, 0.9]]
    masks = patches([[0, 0, 4, 4], [3, 0, 5, 4], [90, 90, 99, 99]], [[[0.7, 0.7], [0.7, 0.7]], full, full])
    left = masks.probabilities * share_out(masks, [0, 0, 0], [1, 2, 3])
    # The first one's right cells are centred on x = 3, the side of the second box: half way to 0 outside it.
    assert torch.allclose(left[0], torch.tensor([[0.7, 0.7], [0.7, 0.7]]))
    masks = patches([[0, 0, 4, 4], [2, 0, 6, 4], [90, 90, 99, 99]], [[[0.7, 0.7], [0.7, 0.7]], full, full])
    left = masks.probabilities * share_out(masks, [0, 0, 0], [1, 2, 3])
    assert torch.allclose(left[0], torch.tensor([[0.7, 0.1], [0.7, 0.1]]))
    assert torch.allclose(left[1:], masks.probabilities[1:])


def test_a_mask_that_was_not_found_takes_part_in_nothing():
    masks = patches([[0, 0, 4, 4], [0, 0, 0, 0]], [ONE, [[0.0, 0.0], [0.0, 0.0]]])
    assert (share_out(masks, [0, 0], [1, 2]) == 1).all()


def test_the_most_probable_of_several_others_counts():
    masks = patches([[0, 0, 4, 4]] * 3, [[[0.5] * 2] * 2, [[0.6] * 2] * 2, [[0.8] * 2] * 2])
    assert torch.allclose(
        (masks.probabilities * share_out(masks, [0] * 3, [1, 2, 3]))[:, 0, 0], torch.tensor([0.2, 0.2, 0.8])
    )
