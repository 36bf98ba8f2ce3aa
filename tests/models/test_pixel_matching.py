import math

import pytest
import torch

from dyenet.models.pixel_matching import SMALLEST, PixelMatching

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
