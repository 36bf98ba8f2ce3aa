import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dyenet.structures import (
    MaskPatches,
    cell_centres,
    clip_boxes,
    enlarge_boxes,
    mask_boxes,
    paired_iou,
    patch_iou,
    to_box_coordinates,
)


def rectangle(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    x0, y0, x1, y1 = box
    mask[0, y0:y1, x0:x1] = 1
    return mask


boxes_in_40x60 = st.tuples(
    st.integers(0, 50), st.integers(0, 30), st.integers(4, 60), st.integers(4, 40)
).filter(lambda b: b[2] - b[0] >= 4 and b[3] - b[1] >= 4)


@given(boxes_in_40x60)
def test_the_box_of_a_rectangle_is_the_rectangle(box):
    assert mask_boxes(rectangle(40, 60, box))[0].tolist() == list(box)


def test_the_box_of_an_empty_mask_is_zero():
    assert mask_boxes(torch.zeros(2, 5, 7)).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]


@settings(max_examples=30, deadline=None)
@given(boxes_in_40x60)
def test_a_rectangle_survives_cutting_and_pasting(box):
    mask = rectangle(40, 60, box)
    patch = MaskPatches.from_maps(mask, mask_boxes(mask), 28)
    assert torch.equal(patch.paste(40, 60) > 0.5, mask > 0.5)
    # interpolation rounds each corner off along xy = 1/2, by (ln 2)/2 - 1/4 = 0.097 pixels, here 5 of 49 cells
    assert patch.areas().item() == pytest.approx(mask.sum().item(), rel=0.02, abs=4 * 0.11)
    assert torch.allclose(patch.tight_boxes(), mask_boxes(mask), atol=0.5)


def test_pasting_leaves_everything_outside_the_box_at_zero():
    patch = MaskPatches(torch.tensor([[-10.0, 5.0, 10.0, 25.0]]), torch.ones(1, 4, 4))
    pasted = patch.paste(20, 30)[0]
    assert pasted[5:, :10].min() == 1
    assert pasted[:5].max() == 0
    assert pasted[:, 10:].max() == 0


def test_a_mask_that_was_not_found_has_no_area_no_box_no_confidence():
    empty = MaskPatches.empty(8, 2)
    assert empty.areas().tolist() == [0, 0]
    assert empty.tight_boxes().tolist() == [[0] * 4] * 2
    assert empty.confidences().tolist() == [0, 0]
    assert empty.paste(6, 6).sum() == 0


def test_confidence_is_the_mean_over_the_cells_inside():
    patch = MaskPatches(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[[0.9, 0.7], [0.2, 0.0]]]))
    assert patch.confidences().item() == pytest.approx(0.8)


def test_cell_centres_of_a_box_by_hand():
    centres = cell_centres(torch.tensor([[10.0, 20.0, 14.0, 28.0]]), 2)
    assert centres[0].tolist() == [[[11, 22], [13, 22]], [[11, 26], [13, 26]]]


@given(boxes_in_40x60)
def test_cell_centres_are_grid_sample_s_cells(box):
    boxes = torch.tensor([box], dtype=torch.float32)
    grid = to_box_coordinates(cell_centres(boxes, 4), boxes)
    assert torch.allclose(grid[0, 0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]), atol=1e-4)


def test_enlarging_moves_every_side_and_stays_in_the_frame():
    boxes = torch.tensor([[20.0, 10.0, 40.0, 20.0], [0.0, 0.0, 60.0, 40.0]])
    assert torch.allclose(
        enlarge_boxes(boxes, 0.15, (40, 60)), torch.tensor([[17.0, 8.5, 43.0, 21.5], [0.0, 0.0, 60.0, 40.0]])
    )


@given(boxes_in_40x60, st.floats(0, 1))
def test_enlarged_boxes_hold_the_box(box, ratio):
    boxes = torch.tensor([box], dtype=torch.float32)
    larger = enlarge_boxes(boxes, ratio, (40, 60))
    assert (larger[0, :2] <= boxes[0, :2]).all()
    assert (larger[0, 2:] >= boxes[0, 2:]).all()
    assert torch.equal(clip_boxes(larger, (40, 60)), larger)


def test_iou_of_patches_in_different_boxes_by_hand():
    a = MaskPatches(torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.ones(1, 28, 28))
    b = MaskPatches(torch.tensor([[10.0, 0.0, 30.0, 20.0], [50.0, 0.0, 60.0, 9.0]]), torch.ones(2, 28, 28))
    iou = patch_iou(a, b)
    assert iou.shape == (1, 2)
    assert iou[0, 0].item() == pytest.approx(1 / 3, abs=0.03)
    assert iou[0, 1].item() == 0
    assert patch_iou(a, a).item() == pytest.approx(1, abs=0.03)


def test_two_empty_masks_do_not_overlap():
    assert patch_iou(MaskPatches.empty(4, 1), MaskPatches.empty(4, 1)).item() == 0


def test_rows_by_integer_list_and_mask():
    patches = MaskPatches(torch.arange(12.0).reshape(3, 4), torch.zeros(3, 2, 2))
    assert patches[-1].boxes.tolist() == [[8, 9, 10, 11]]
    assert patches[[2, 0]].boxes[:, 0].tolist() == [8, 0]
    assert len(patches[torch.tensor([True, False, True])]) == 2
    assert [len(p) for p in patches] == [1, 1, 1]
    assert torch.equal(MaskPatches.cat(list(patches)).boxes, patches.boxes)


def test_boxes_and_probabilities_must_agree():
    with pytest.raises(ValueError, match="same number"):
        MaskPatches(torch.zeros(2, 4), torch.zeros(3, 5, 5))


def test_paired_iou_is_the_diagonal_of_patch_iou():
    boxes = torch.tensor([[0.0, 0, 16, 16], [8, 4, 30, 20]])
    a = MaskPatches(boxes, torch.ones(2, 8, 8))
    b = MaskPatches(boxes + torch.tensor([4.0, 0, 4, 0]), torch.ones(2, 8, 8))
    found = paired_iou(a, b)
    assert found[0].item() == pytest.approx(12 / 20, abs=0.02)
    assert torch.equal(found, patch_iou(a, b).diagonal())
