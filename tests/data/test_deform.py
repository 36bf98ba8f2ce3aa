"""Thin-plate splines, deformed clips with exact flow, worn masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dyenet.data.deform import (
    Deformation,
    Motion,
    ThinPlateSpline,
    about,
    deform_clip,
    deform_mask,
    random_motion,
)
from dyenet.data.synthetic_layers import pixel_grid


def smooth_picture(height, width, seed=0):
    small = (
        np.random.default_rng(seed).integers(0, 255, (height // 8 + 2, width // 8 + 2, 3)).astype(np.uint8)
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_spline_takes_its_points_where_they_should_go():
    rng = np.random.default_rng(0)
    source, target = rng.uniform(0, 100, (5, 2)), rng.uniform(0, 100, (5, 2))
    assert np.allclose(ThinPlateSpline(source, target)(source.T).T, target, atol=1e-6)


def test_spline_through_an_affine_map_is_that_map():
    source = np.array([[0.0, 0], [50, 0], [0, 50], [50, 50], [20, 30]])
    target = source @ np.array([[1.1, 0.2], [-0.1, 0.9]]) + [3, -4]
    points = np.random.default_rng(1).uniform(-20, 80, (2, 7, 3))
    wanted = (
        np.einsum("jyx,ji->iyx", points, np.array([[1.1, 0.2], [-0.1, 0.9]]))
        + np.array([3, -4])[:, None, None]
    )
    assert np.allclose(ThinPlateSpline(source, target)(points), wanted, atol=1e-5)


def test_spline_of_points_on_a_line_is_finite():
    source = np.stack([np.arange(5.0) * 10, np.full(5, 7.0)], 1)
    target = source + np.array([1.0, 2.0])
    spline = ThinPlateSpline(source, target)
    assert np.allclose(spline(source.T).T, target, atol=1e-6)
    assert np.isfinite(spline(pixel_grid(20, 60))).all()


def test_shift_by_hand():
    """x -> x + 3 of the old frame: the new frame shows the old one 3 pixels further left, flow (3, 0)."""
    picture = smooth_picture(20, 30)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 10:16] = 2
    motion = Motion([Deformation(about(np.zeros(2), 1.0, 0.0, np.array([3.0, 0])))])
    frames, masks, flow = deform_clip(picture, mask, motion, (20, 30))
    assert np.array_equal(frames[1][:, :-3], picture[:, 3:])
    assert np.array_equal(masks[1][:, :-3], mask[:, 3:])
    assert np.allclose(flow[0, 0], 3)
    assert np.allclose(flow[0, 1], 0)


def test_clip_frames_are_linked_by_the_flow():
    picture, mask = smooth_picture(60, 90), np.zeros((60, 90), np.uint8)
    mask[20:40, 30:60] = 3
    motion = random_motion(np.random.default_rng(3), 4, (48, 72))
    frames, masks, flow = deform_clip(picture, mask, motion, (48, 72))
    assert frames.shape == (4, 48, 72, 3)
    assert np.array_equal(frames[0], picture[6:54, 9:81])  # the first shows the middle
    grid = pixel_grid(48, 72)
    for t in range(3):
        points = grid + flow[t]
        inside = (points[0] > 0) & (points[0] < 71) & (points[1] > 0) & (points[1] < 47)
        warped = cv2.remap(frames[t], points[0], points[1], cv2.INTER_LINEAR)
        difference = np.abs(warped.astype(int) - frames[t + 1])[inside]
        assert difference.mean() < 3  # interpolated twice
        moved = cv2.remap(masks[t], points[0], points[1], cv2.INTER_NEAREST)
        assert (moved != masks[t + 1])[inside].mean() < 0.02
    assert set(np.unique(masks)) == {0, 3}


def test_worn_mask_resembles_the_true_one():
    mask = np.zeros((80, 100), bool)
    mask[30:60, 20:70] = True
    for seed in range(5):
        worn = deform_mask(np.random.default_rng(seed), mask)
        iou = (worn & mask).sum() / (worn | mask).sum()
        assert 0.4 < iou < 1.0
        assert not np.array_equal(worn, deform_mask(np.random.default_rng(seed + 10), mask))


def test_without_displacement_the_mask_only_grows_by_the_disk():
    mask = np.zeros((40, 40), bool)
    mask[15:25, 15:25] = True
    worn = deform_mask(np.random.default_rng(0), mask, tps=0.0, dilation=5)
    assert worn[10:30, 20].all()
    assert not worn[9, 20]
    assert worn.sum() < 20 * 20  # round corners
    assert np.array_equal(deform_mask(np.random.default_rng(0), mask, tps=0.0, dilation=0), mask)


@pytest.mark.parametrize("pixels", [0, 1, 2])
def test_tiny_masks_are_worn_without_error(pixels):
    mask = np.zeros((20, 20), bool)
    mask[5, 5 : 5 + pixels] = True
    worn = deform_mask(np.random.default_rng(0), mask, dilation=1)
    assert worn.any() == (pixels > 0)
