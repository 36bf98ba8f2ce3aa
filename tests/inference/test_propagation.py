from dataclasses import replace

import numpy as np
import pytest
from hand_made import row, square
from oracle import OraclePropagator, crossing_truth, given_points, truth_patch

from dyenet.inference.config import PropagationConfig
from dyenet.inference.propagation import extend, is_covered, propagate
from dyenet.structures import StartingPoint, Tracklet

CONFIG = PropagationConfig()


def point(truth, frame, object_id, similarity, label=None) -> StartingPoint:
    """A starting point on the true mask of ``object_id``, labelled as ``label`` (itself unless said otherwise)."""
    return StartingPoint(label or object_id, frame, truth_patch(truth, frame, object_id), similarity)


def shrinking_truth() -> np.ndarray:
    """A bar 20 high and 40, 38, 36, ... 4, 2 wide."""
    truth = np.zeros((20, 40, 60), np.uint8)
    for t in range(20):
        truth[t, 10:30, 5 : 5 + 40 - 2 * t] = 1
    return truth


@pytest.mark.parametrize(("ratio", "last"), [(0.1, 18), (0.5, 10), (0.0, 19)])
def test_propagation_aborts_when_the_mask_is_smaller_than_its_share_of_the_starting_mask(ratio, last):
    truth = shrinking_truth()  # at t the area is (40 - 2t) / 40 of the start: 10 % at t = 18, 50 % at t = 10
    # a hair below the ratio: patches round areas
    config = replace(CONFIG, min_area_ratio=ratio * 0.97)
    (tracklet,) = extend(given_points(truth), OraclePropagator(truth), len(truth), config)
    assert sorted(tracklet.patches) == list(range(last + 1))


def test_a_starting_point_in_the_middle_goes_both_ways_until_the_object_is_lost():
    truth = crossing_truth()
    seen = [t for t in range(len(truth)) if (truth[t] == 1).any()]
    gap = next(i for i in range(1, len(seen)) if seen[i] != seen[i - 1] + 1)
    before, after = seen[:gap], seen[gap:]
    start = after[3]
    (tracklet,) = extend(
        [point(truth, start, 1, 0.9)], OraclePropagator(truth), len(truth), replace(CONFIG, min_area_ratio=0)
    )
    assert sorted(tracklet.patches) == after
    assert not set(before) & set(tracklet.patches)


def test_propagation_ends_before_a_frame_where_the_object_s_mask_is_given():
    truth = crossing_truth()
    given = [*given_points(truth), *given_points(truth, 5)]
    tracklets = propagate(given, [], OraclePropagator(truth), len(truth), CONFIG)
    extents = {(t.object_id, t.start.frame): (min(t.patches), max(t.patches)) for t in tracklets}
    assert extents[2, 0] == (0, 4)
    assert extents[2, 5] == (1, 23)


def test_a_starting_point_is_skipped_from_the_iou_on():
    tracklets = [row(1, 0, range(5), x=0)]
    # squares of side 16 moved by d overlap by (16 - d) / (16 + d)
    near, far = square(2), square(4)  # 14 / 18 = 0.78 and 12 / 20 = 0.6
    assert is_covered(3, near, tracklets, 0.7)
    assert not is_covered(3, far, tracklets, 0.7)
    assert is_covered(3, far, tracklets, 0.55)
    assert not is_covered(7, near, tracklets, 0.7)  # the tracklet has no frame 7


def test_the_skip_rule_looks_at_tracklets_of_the_same_object_only_unless_told():
    truth = crossing_truth()
    wrong = point(truth, 3, 2, 0.9, label=1)  # the mask of object 2, taken for object 1
    points = [*given_points(truth), wrong, point(truth, 4, 2, 0.8)]
    starts = {
        (t.object_id, t.start.frame) for t in propagate(points, [], OraclePropagator(truth), 24, CONFIG)
    }
    assert starts == {(1, 0), (2, 0), (1, 3)}
    any_object = replace(CONFIG, skip_scope="any_object")
    starts = {
        (t.object_id, t.start.frame) for t in propagate(points, [], OraclePropagator(truth), 24, any_object)
    }
    assert starts == {(1, 0), (2, 0)}


def test_tracklets_of_earlier_rounds_skip_too():
    truth = crossing_truth()
    old = propagate(given_points(truth), [], OraclePropagator(truth), len(truth), CONFIG)
    assert propagate([point(truth, 6, 2, 0.9)], old, OraclePropagator(truth), len(truth), CONFIG) == []


def test_a_retrieved_tracklet_ends_where_it_meets_an_earlier_one():
    truth = crossing_truth()
    (earlier,) = extend(given_points(truth)[1:], OraclePropagator(truth), 10, CONFIG)
    assert sorted(earlier.patches) == list(range(10))
    late = point(truth, 14, 2, 0.9)
    for stop, first in [(True, 10), (False, 1)]:  # the mask of frame 0 is given
        config = replace(CONFIG, stop_on_meeting=stop)
        (new,) = propagate([late], [earlier], OraclePropagator(truth), 24, config)
        assert (min(new.patches), max(new.patches)) == (first, 23)


def test_the_bound_on_passes_counts_per_object_and_spares_given_masks():
    truth = crossing_truth()
    # never skipped: each is on another object's mask, where no tracklet of the same object has been
    points = [point(truth, f, 2, 0.9 - f / 100, label=5 + f % 2) for f in range(6)]
    config = replace(
        CONFIG, max_passes=1, skip_iou=1.1
    )  # object 2 is seen throughout: one tracklet is one pass
    new = propagate([*given_points(truth), *points], [], OraclePropagator(truth), len(truth), config)
    assert sorted((t.object_id, t.start.frame) for t in new) == [(1, 0), (2, 0), (5, 0), (6, 1)]


def test_given_masks_go_before_retrieved_ones():
    """They share a batch, where masks compete, with one another alone."""
    truth = crossing_truth()
    batches = []

    class Noted(OraclePropagator):
        def begin(self, starting_points):
            batches.append([(p.object_id, p.frame, p.given) for p in starting_points])
            return super().begin(starting_points)

    twice = [p for p in given_points(truth, 5) if p.object_id == 2]
    found = [point(truth, 20, 2, 0.8, label=7), point(truth, 22, 2, 0.9, label=8)]
    propagate([*given_points(truth), *twice, *found], [], Noted(truth), len(truth), CONFIG)
    assert batches == [[(1, 0, True), (2, 0, True)], [(2, 5, True)], [(7, 20, False), (8, 22, False)]]


def sequentially(points, propagator, num_frames, config) -> list[Tracklet]:
    """The paper's loop, one starting point after another."""
    tracklets: list[Tracklet] = []
    for p in points:
        own = [t for t in tracklets if t.object_id == p.object_id]
        if p.given or not is_covered(p.frame, p.patch, own, config.skip_iou):
            tracklets += extend([p], propagator, num_frames, config, earlier=[own])
    return tracklets


@pytest.mark.parametrize("stop_on_meeting", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_waves_give_what_the_sequential_order_gives(seed, stop_on_meeting):
    rng = np.random.default_rng(seed)
    truth = np.zeros((16, 48, 64), np.uint8)
    for object_id, (x, y, v) in enumerate([(2, 2, 2), (40, 20, -2), (10, 32, 1)], start=1):
        for t in range(16):
            if rng.random() < 0.85:  # unseen now and then, so that tracklets break
                truth[t, y : y + 12, max(0, x + v * t) : max(0, x + v * t + 12)] = object_id
    points = given_points(truth, next(t for t in range(16) if len(np.unique(truth[t])) == 4))
    for frame in range(16):
        for object_id in np.unique(truth[frame])[1:]:
            label = int(object_id) if rng.random() < 0.8 else int(rng.integers(1, 4))
            points.append(point(truth, frame, int(object_id), float(rng.uniform(0.7, 1)), label))
    points = sorted(points, key=lambda p: (not p.given, -p.similarity))
    config = replace(CONFIG, max_passes=1000, stop_on_meeting=stop_on_meeting)
    batched, single = OraclePropagator(truth), OraclePropagator(truth)
    # given masks end others' propagation in both: give the loop none to keep it plain
    points = [replace(p, given=False) for p in points]
    waves = propagate(points, [], batched, 16, config)
    plain = sequentially(points, single, 16, config)

    def summary(tracklets):
        return {(t.object_id, t.start.frame, t.similarity, *sorted(t.patches)) for t in tracklets}

    assert len(plain) > 4
    assert len(waves) == len(plain)
    assert summary(waves) == summary(plain)
    assert batched.steps == single.steps
    assert batched.calls < single.calls
