"""Precision and recall of starting points, on a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trees import squares

from dyenet.evaluation.retrieval import RetrievalCounts, count, judge
from dyenet.structures import MaskPatches, StartingPoint


def point(object_id: int, frame: int, box: tuple[float, ...], similarity: float = 0.8) -> StartingPoint:
    """A full mask in ``box``."""
    return StartingPoint(
        object_id, frame, MaskPatches(torch.tensor([box]).float(), torch.ones(1, 4, 4)), similarity
    )


def test_iou_with_the_truth_in_smaller_working_frames():
    truth = squares(places=[(1, 20, 40)], size=20, shape=(60, 80))  # rows 20..39, columns 40..59
    points = [
        point(1, 3, (20, 10, 30, 20)),  # the working frames have half the size: exactly the truth
        point(1, 3, (25, 10, 35, 20)),  # half of it: 200 / 600
        point(2, 3, (20, 10, 30, 20)),  # another object's place
        point(1, 4, (20, 10, 30, 20)),  # a frame without truth
    ]
    judged = judge(points, {3: truth}.get, (30, 40))
    assert [p.iou for p in judged] == pytest.approx([1.0, 1 / 3, 0.0])
    assert [p.correct for p in judged] == [True, False, False]


def test_precision_and_recall_by_hand():
    truth = squares(places=[(1, 20, 40), (2, 0, 0)])
    good, bad = (40, 20, 50, 30), (0, 40, 10, 50)
    points = [point(1, 1, good), point(1, 2, good), point(1, 3, bad), point(2, 1, bad)]
    judged = judge(points, lambda frame: truth, (60, 80))
    # Frames 1 to 3 hold both objects: six true masks, of which two were found.
    truths = [(object_id, frame) for object_id in (1, 2) for frame in (1, 2, 3)]
    counts = count(judged, truths)
    assert counts == RetrievalCounts(found=4, correct=2, recalled=2, wanted=6)
    assert counts.precision == 0.5
    assert counts.recall == pytest.approx(1 / 3)


def test_the_same_object_found_twice_in_a_frame_is_recalled_once():
    truth = squares(places=[(1, 20, 40)])
    judged = judge([point(1, 1, (40, 20, 50, 30))] * 2, lambda frame: truth, (60, 80))
    assert count(judged, [(1, 1)]) == RetrievalCounts(found=2, correct=2, recalled=1, wanted=1)


def test_nothing_found_has_no_precision():
    assert RetrievalCounts().precision is None
    assert (RetrievalCounts(wanted=3) + RetrievalCounts(found=1, wanted=1)).recall == 0.0


def test_an_empty_patch_is_wrong():
    empty = StartingPoint(1, 0, MaskPatches.empty(4, 1))
    (judged,) = judge([empty], lambda frame: np.zeros((10, 10), np.uint8), (10, 10))
    assert judged.iou == 0.0
