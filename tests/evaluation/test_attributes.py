"""Attributes of objects from masks drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from trees import davis_tree, squares

from dyenet.data.readers import open_dataset
from dyenet.evaluation.attributes import Attributes, attributes_of, categorise, object_attributes

SHAPE = (100, 100)


def square(size: int, object_id: int = 1, top: int = 10, left: int = 10) -> np.ndarray:
    return squares(places=[(object_id, top, left)], size=size, shape=SHAPE)


@pytest.mark.parametrize(("size", "expected"), [(9, "small"), (10, "medium"), (22, "medium"), (23, "large")])
def test_size_by_the_first_frame(size, expected):
    assert object_attributes([square(size), square(30)], 1).size == expected  # 1 % and 5 % of 100x100


@pytest.mark.parametrize(("last", "expected"), [(15, "no"), (14, "yes")])
def test_scale_variation(last, expected):
    assert (
        object_attributes([square(20), square(18), square(last)], 1).scale_variation == expected
    )  # 200 of 400


def test_occlusion():
    def occlusion(*sizes):
        return object_attributes([square(s) for s in sizes], 1).occlusion

    assert occlusion(20, 20, 20) == "none"
    assert occlusion(20, 14, 10) == "none"  # it shrinks, but nothing comes back
    assert occlusion(20, 10, 20) == "partial"  # 100 of 400 and back
    assert occlusion(20, 6, 20) == "heavy"  # 36 of 400
    assert occlusion(20, 20, 0) == "heavy"
    assert occlusion(0, 20, 20) == "none"  # before its first frame


def test_touching_another_object_is_partial_occlusion():
    apart = square(20) + square(20, object_id=2, left=31)
    touching = square(20) + square(20, object_id=2, left=30)
    assert object_attributes([apart, apart], 1).occlusion == "none"
    assert object_attributes([apart, touching], 1).occlusion == "partial"
    void = square(20) + square(20, object_id=255, left=30)
    assert object_attributes([apart, void], 1).occlusion == "none"


def test_pose_is_the_shape_in_its_box():
    bar, corner = np.zeros((2, *SHAPE), np.uint8)
    bar[10:20, 10:60] = 1
    corner[10:60, 10:14] = corner[56:60, 10:60] = 1
    assert object_attributes([bar, np.roll(bar, 20, axis=0), bar.T.copy()], 1).pose_variation == "no"
    assert object_attributes([bar, corner, corner], 1).pose_variation == "yes"


def test_objects_of_a_sequence_and_the_mean_per_category(tmp_path):
    masks = [square(5) + square(30, object_id=2, top=50)] * 3
    dataset = open_dataset("davis2017", davis_tree(tmp_path, {"s": masks}), "val")
    found = attributes_of(dataset, "s")
    assert found == {1: Attributes("small", "no", "none", "no"), 2: Attributes("large", "no", "none", "no")}
    by_key = {("s", i): a for i, a in found.items()}
    means = categorise({("s", 1): 0.2, ("s", 2): 0.8}, by_key)
    assert means["size"] == {"small": (0.2, 1), "medium": (None, 0), "large": (0.8, 1)}
    assert means["occlusion"]["none"] == (pytest.approx(0.5), 2)
