import pytest
import torch

from dyenet.models.warping import motion_contrast, photometric_errors, sample_flow, warp_hidden, warped_boxes
from dyenet.structures import MaskPatches, cell_centres, mask_boxes

H, W = 60, 80


def constant_flow(u: float, v: float) -> torch.Tensor:
    return torch.stack([torch.full((H, W), u), torch.full((H, W), v)])[None]


def test_flow_is_read_at_pixel_centres():
    flow = torch.zeros(1, 2, H, W)
    flow[0, 0] = torch.arange(W) + 0.5  # u equals the x coordinate of the pixel's centre
    points = torch.tensor([[[[10.0, 5.0], [10.5, 5.0]], [[40.25, 7.0], [79.0, 59.0]]]])
    assert torch.allclose(sample_flow(flow, points)[..., 0], points[..., 0], atol=1e-4)


def test_a_mask_moves_against_the_flow_that_looks_back():
    # The object moved 6 right and 4 down, so frame j looks back by (-6, -4).
    mask = torch.zeros(1, H, W)
    mask[0, 10:30, 20:50] = 1
    patch = MaskPatches.from_maps(mask, mask_boxes(mask), 28)
    boxes = warped_boxes(patch, constant_flow(-6, -4))
    assert (boxes - torch.tensor([[26.0, 14.0, 56.0, 34.0]])).abs().max() <= 2


def test_the_photometric_error_is_what_the_flow_does_not_explain():
    before = torch.rand(1, 3, H, W)
    now = before.roll((4, 6), dims=(2, 3))  # the frame moved 6 right and 4 down
    now[0, 1, 30, 40] += 0.6  # and one pixel changed, in one of the three channels
    errors = photometric_errors(now, before, constant_flow(-6, -4))
    assert errors.shape == (1, 1, H, W)
    inside = errors[0, 0, 4:, 6:]
    assert inside[26, 34] == pytest.approx(0.2, abs=1e-4)
    inside[26, 34] = 0
    assert inside.abs().max() < 1e-4
    assert errors[0, 0, :4].mean() > 0.1  # came from outside, compared with the edge
    assert photometric_errors(now, before, constant_flow(0, 0)).mean() > 0.2


def test_what_moves_as_the_object_is_told_from_what_is_beside_it():
    flow = constant_flow(1, 0)
    flow[:, :, 10:40, 20:60] = 4  # the object, 5 pixels from the rest
    boxes = torch.tensor([[10.0, 0.0, 70.0, 50.0]])
    x, y = cell_centres(boxes, 40)[0].unbind(-1)
    moving = (x > 20) & (x < 60) & (y > 10) & (y < 40)
    known = (moving & (y < 25)).float()[None]  # its lower half is missing
    contrast = motion_contrast(flow, boxes, known)[0]
    edge = ((x - 20).abs() < 1) | ((x - 60).abs() < 1) | ((y - 10).abs() < 1) | ((y - 40).abs() < 1)
    assert torch.allclose(contrast[moving & ~edge], torch.tensor(5 / 6), atol=1e-4)  # 5 over 5 and STILL
    assert torch.allclose(contrast[~moving & ~edge], torch.tensor(-5 / 6), atol=1e-4)
    between = flow.clone()
    between[:, 1, 45:] = 8  # 8 pixels from the rest, 5 from the object
    lower = motion_contrast(between, boxes, known)[0][(y > 46) & ~edge]
    assert torch.allclose(lower, torch.tensor((8 - 5) / 6), atol=1e-4)


def test_motion_tells_nothing_where_all_is_alike_or_a_mask_leaves_nothing():
    boxes = torch.tensor([[10.0, 0.0, 70.0, 50.0]]).expand(3, -1)
    masks = torch.stack([torch.zeros(40, 40), torch.ones(40, 40), torch.eye(40).cummax(0).values])
    flow = torch.randn(1, 2, H, W).expand(3, -1, -1, -1)
    assert not motion_contrast(flow, boxes, masks)[:2].any()
    assert motion_contrast(flow, boxes, masks)[2].any()
    assert not motion_contrast(constant_flow(3, 1).expand(3, -1, -1, -1), boxes, masks).any()


def test_a_mask_that_left_the_frame_has_no_box():
    patch = MaskPatches(torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.ones(1, 28, 28))
    assert warped_boxes(patch, constant_flow(70, 0)).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("x", [20, 21])
def test_a_line_one_pixel_wide_has_a_box_wherever_it_lies(x):
    patch = MaskPatches(torch.tensor([[x, 10.0, x + 1, 40.0]]), torch.ones(1, 28, 28))
    (box,) = warped_boxes(patch, constant_flow(0, 0))
    assert box[2] > box[0]
    assert (box - patch.boxes[0]).abs().max() <= 1


def coordinates_as_hidden(boxes: torch.Tensor, m: int) -> torch.Tensor:
    """A hidden state whose two channels are the image coordinates of its cells."""
    return cell_centres(boxes, m).permute(0, 3, 1, 2)


def test_hidden_state_lands_where_the_flow_says_between_boxes_of_other_size():
    source = torch.tensor([[10.0, 10.0, 50.0, 40.0]])
    target = torch.tensor([[22.0, 16.0, 46.0, 38.0]])
    warped = warp_hidden(coordinates_as_hidden(source, 28), source, target, constant_flow(-5, -3))
    expected = coordinates_as_hidden(target, 28) + torch.tensor([-5.0, -3.0]).reshape(1, 2, 1, 1)
    assert torch.allclose(warped, expected, atol=1e-3)


def test_hidden_state_is_zero_where_the_source_box_has_nothing():
    source = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    target = torch.tensor([[10.0, 10.0, 50.0, 30.0]])
    warped = warp_hidden(torch.ones(1, 1, 8, 8), source, target, constant_flow(0, 0))
    assert warped[0, 0, :, :4].min() > 0.7
    assert warped[0, 0, :, 5:].abs().max() == 0


def test_gradients_reach_the_earlier_hidden_state():
    box = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    hidden = torch.randn(1, 3, 8, 8, requires_grad=True)
    warp_hidden(hidden, box, box + 1, constant_flow(-1, -1)).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0
