"""J, F and their statistics against values worked out by hand, a slow oracle, and another package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from vos_benchmark.evaluator import Evaluator

from dyenet.evaluation.measures import (
    boundary_accuracy,
    boundary_map,
    disk_of,
    frame_measures,
    region_similarity,
    statistics,
    tolerance_of,
)


def mask_of(text: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in text.split()])


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A few rectangles and ellipses, some of which touch the border."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(0, 4)):
        cy, cx = rng.integers(-5, shape[0] + 5), rng.integers(-5, shape[1] + 5)
        ry, rx = rng.integers(1, max(shape) // 2 + 1, 2)
        if rng.random() < 0.5:
            mask |= (abs(y - cy) < ry) & (abs(x - cx) < rx)
        else:
            mask |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return mask


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    """Pixel by pixel: differs from the east, south or south-east neighbour, where there is one to look at."""
    height, width = mask.shape
    out = np.zeros(mask.shape, bool)
    for y in range(height):
        for x in range(width):
            neighbours = []
            if x + 1 < width:
                neighbours.append(mask[y, x + 1])
            if y + 1 < height:
                neighbours.append(mask[y + 1, x])
            if x + 1 < width and y + 1 < height:
                neighbours.append(mask[y + 1, x + 1])
            out[y, x] = any(n != mask[y, x] for n in neighbours)
    return out


def slow_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """By exact distances to the other boundary instead of dilation."""
    found, wanted = slow_boundary(prediction), slow_boundary(truth)
    radius = np.ceil(0.008 * np.hypot(*truth.shape))
    if not found.any() and not wanted.any():
        return 1.0
    if not found.any() or not wanted.any():
        return 0.0
    precision = (distance_transform_edt(~wanted)[found] <= radius + 1e-9).mean()
    recall = (distance_transform_edt(~found)[wanted] <= radius + 1e-9).mean()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def test_boundary_by_hand():
    mask = mask_of("....  .##.  .##.  ...#")
    expected = mask_of("###.  #.#.  ####  ..#.")
    # Row 0 sees the square below and diagonally; the last row looks east only, the last column south only.
    assert boundary_map(mask).astype(bool).tolist() == expected.tolist()
    assert slow_boundary(mask).tolist() == expected.tolist()


def test_j_and_f_by_hand():
    truth, prediction = np.zeros((2, 40, 40), bool)
    truth[10:20, 10:20] = True
    prediction[10:20, 15:25] = True
    assert region_similarity(prediction, truth) == pytest.approx(50 / 150)
    assert tolerance_of((40, 40)) == 1
    # A 10x10 square has 11 + 11 + 9 + 9 = 40 boundary pixels on rows 9, 19 and columns 9, 19 (14, 24 if shifted).
    assert boundary_map(truth).sum() == boundary_map(prediction).sum() == 40
    # Of the prediction's: on rows 9 and 19, columns 14..20 lie within 1 pixel of the truth's 9..19; on its columns
    # none but rows 10 and 18 of column 14, next to the truth's rows.
    assert boundary_accuracy(prediction, truth) == pytest.approx((2 * 7 + 2) / 40)


@pytest.mark.parametrize(
    ("found", "wanted", "j", "f"), [(0, 0, 1, 1), (0, 1, 0, 0), (1, 0, 0, 0), (1, 1, 1, 1)]
)
def test_empty_masks(found, wanted, j, f):
    square = np.zeros((30, 50), bool)
    square[5:9, 5:9] = True
    assert frame_measures(square & bool(found), square & bool(wanted)) == (j, f)


def test_a_mask_of_the_whole_frame_has_no_boundary():
    full, square = np.ones((20, 20), bool), np.zeros((20, 20), bool)
    square[5:9, 5:9] = True
    assert frame_measures(full, full) == (1.0, 1.0)
    assert frame_measures(square, full) == (16 / 400, 0.0)  # P = 0, R = 1
    assert frame_measures(full, square) == (16 / 400, 0.0)  # P = 1, R = 0


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [((480, 854), 8), ((480, 910), 9), ((324, 576), 6), ((240, 320), 4), ((1080, 1920), 18)],
)
def test_tolerance_at_image_sizes(shape, pixels):
    assert tolerance_of(shape) == pixels


def test_disk_is_that_of_skimage():
    disk = pytest.importorskip("skimage.morphology").disk
    assert all(np.array_equal(disk_of(r), disk(r)) for r in (1, 2, 3, 8, 9, 18))


@pytest.mark.parametrize("shape", [(24, 31), (61, 90), (9, 7)])
def test_against_the_oracle_and_vos_benchmark(shape):
    rng = np.random.default_rng(shape[0])
    for _ in range(25):
        truth = blobs(rng, shape)
        prediction = (
            truth ^ (blobs(rng, shape) & blobs(rng, shape)) if rng.random() < 0.7 else blobs(rng, shape)
        )
        j, f = frame_measures(prediction, truth)
        union = (prediction | truth).sum()
        assert j == pytest.approx((prediction & truth).sum() / union if union else 1.0, abs=1e-9)
        assert f == pytest.approx(slow_f(prediction, truth), abs=1e-9)
        assert (100 * j, 100 * f) == pytest.approx(by_vos_benchmark(prediction, truth), abs=1e-6)


def test_full_size_frames_against_vos_benchmark():
    rng = np.random.default_rng(0)
    for _ in range(3):
        prediction, truth = blobs(rng, (480, 854)), blobs(rng, (480, 854))
        ours = 100 * np.array(frame_measures(prediction, truth))
        assert ours == pytest.approx(by_vos_benchmark(prediction, truth), abs=1e-6)


def by_vos_benchmark(prediction: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """(J, F) in percent."""
    other = Evaluator()
    other.objects_in_gt = {1}  # it forgets objects that are never there
    other.feed_frame(prediction.astype(np.uint8), truth.astype(np.uint8))
    j, f = other.conclude()
    return j[1], f[1]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40))
def test_cropping_changes_nothing(seed, height, width):
    rng = np.random.default_rng(seed)
    prediction, truth = blobs(rng, (height, width)), blobs(rng, (height, width))
    whole = region_similarity(prediction, truth), boundary_accuracy(prediction, truth)
    assert frame_measures(prediction, truth) == pytest.approx(whole, abs=1e-12)
    assert frame_measures(truth, prediction) == pytest.approx(whole, abs=1e-12)


def test_statistics_by_hand():
    # n = 5: the limits are frames 0, 1, 2, 3, 4; both bins hold two frames.
    result = statistics([0.9, 0.7, 0.5, 0.3, 0.1])
    assert result.mean == pytest.approx(0.5)
    assert result.recall == pytest.approx(0.4)  # 0.5 itself does not count
    assert result.decay == pytest.approx(0.8 - 0.2)


def test_limits_round_half_to_even():
    # n = 7: linspace gives 1, 2.5, 4, 5.5, 7, plus 1e-10 rounded to 1, 3, 4, 6, 7: bins 0..2 and 5..6.
    values = [1.0, 0.8, 0.6, 0.0, 0.0, 0.3, 0.1]
    assert statistics(values).decay == pytest.approx(0.8 - 0.2)


def test_decay_above_255_frames_does_not_wrap():
    # n = 401: the limits are frames 0, 100, 200, 300, 400; in 8 bits the last would be 44 and 144.
    values = np.zeros(401)
    values[:101], values[300:] = 0.8, 0.2
    assert statistics(values).decay == pytest.approx(0.6)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 17, 100, 255])
def test_decay_against_the_official_formula(n):
    values = np.random.default_rng(n).random(n)
    ids = (np.round(np.linspace(1, n, 5) + 1e-10) - 1).astype(np.uint8)
    bins = [values[ids[i] : ids[i + 1] + 1] for i in range(4)]
    assert statistics(values).decay == pytest.approx(np.nanmean(bins[0]) - np.nanmean(bins[3]), abs=1e-12)


def test_statistics_of_nothing():
    with pytest.raises(ValueError, match="no frames"):
        statistics([])
