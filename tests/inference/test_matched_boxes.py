import pytest
import torch

from dyenet.inference.matched_boxes import averaging, matched_boxes

STRIDE = 8


def disc(size: int) -> torch.Tensor:
    """(size, size): 1 within 0.3 of the middle."""
    places = (torch.arange(size) + 0.5) / size - 0.5
    return (places[:, None] ** 2 + places**2 < 0.09).float()


def frame_with(*objects: tuple[int, int, int]) -> torch.Tensor:
    """(40, 60) log odds: -4, and 4 in discs of 0.6 ``size`` cells across, whose squares begin at (row, column)."""
    log_odds = torch.full((40, 60), -4.0)
    for row, column, size in objects:
        log_odds[row : row + size, column : column + size] += 8 * disc(size)
    return log_odds


def find(log_odds: torch.Tensor, count: int, *, side: float = 80.0) -> torch.Tensor:
    """For a disc of 0.6 ``side`` pixels across, in the middle of a square of ``side`` pixels."""
    extent = torch.tensor([100.0, 60.0, 100.0 + side, 60.0 + side])
    box = torch.tensor([100.0 + 0.2 * side, 60.0 + 0.2 * side, 100.0 + 0.8 * side, 60.0 + 0.8 * side])
    return matched_boxes(log_odds, disc(28), extent, box, stride=STRIDE, first=0.0, count=count)


@pytest.mark.parametrize("size", [10, 14])  # as large as the given one, and 1.4 times that
def test_the_object_is_found_where_it_is_and_as_large_as_it_is(size):
    (box,) = find(frame_with((12, 30, size)), count=1)
    # cells are STRIDE pixels apart, the first one centred on pixel 0
    middle = torch.tensor([30.0, 12.0]) * STRIDE + (size - 1) / 2 * STRIDE
    half = 0.3 * size * STRIDE
    assert torch.allclose(box, torch.cat([middle - half, middle + half]), atol=STRIDE)


def test_of_two_the_better_one_comes_first_and_no_place_comes_twice():
    log_odds = frame_with((5, 5, 10), (25, 40, 10))
    log_odds[:20] *= 0.25
    boxes = find(log_odds, count=9)
    assert torch.allclose(boxes[0], torch.tensor([336.0, 216.0, 384.0, 264.0]), atol=2 * STRIDE)
    assert torch.allclose(boxes[1], torch.tensor([56.0, 56.0, 104.0, 104.0]), atol=2 * STRIDE)


def test_cells_are_averaged_for_large_objects_and_boxes_stay_where_they_are():
    assert averaging(torch.tensor([0.0, 0, 50, 90]), STRIDE) == 1
    assert averaging(torch.tensor([0.0, 0, 288, 100]), STRIDE) == 3
    averaged = torch.nn.functional.avg_pool2d(frame_with((2, 10, 36))[None, None], 3, ceil_mode=True)[0, 0]
    extent, box = torch.tensor([0.0, 0, 288, 288]), torch.tensor([57.6, 57.6, 230.4, 230.4])
    (found,) = matched_boxes(averaged, disc(28), extent, box, stride=3 * STRIDE, first=STRIDE, count=1)
    middle, half = torch.tensor([10.0, 2.0]) * STRIDE + 35 / 2 * STRIDE, 0.3 * 36 * STRIDE
    assert torch.allclose(found, torch.cat([middle - half, middle + half]), atol=1.5 * STRIDE)


def test_an_object_at_one_side_of_its_box_is_found_too():
    """As where the frame's edge cut the enlargement of its box off on the left."""
    extent, box = torch.tensor([0.0, 40.0, 60.0, 120.0]), torch.tensor([0.0, 56.0, 48.0, 104.0])
    mask = torch.nn.functional.interpolate(disc(28)[None, None, :, 6:], size=(28, 28), mode="bilinear")[0, 0]
    (found,) = matched_boxes(frame_with((12, 30, 10)), mask, extent, box, stride=STRIDE, first=0.0, count=1)
    assert torch.allclose(found, torch.tensor([252.0, 108.0, 300.0, 156.0]), atol=1.5 * STRIDE)


def test_nothing_is_found_where_nothing_stands_out():
    assert matched_boxes(
        torch.zeros(1, 1),
        disc(28),
        torch.tensor([0.0, 0, 8, 8]),
        torch.tensor([2.0, 2, 6, 6]),
        stride=8,
        first=0.0,
        count=3,
    ).shape == (0, 4)
