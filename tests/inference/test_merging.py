import pytest
import torch
from hand_made import square

from dyenet.errors import ConfigError
from dyenet.inference.config import MergingConfig
from dyenet.inference.merging import merge_labels, merge_probabilities
from dyenet.structures import MaskPatches

VSREID, THRESHOLD = MergingConfig(), MergingConfig(method="threshold")


def pixel(*probabilities) -> dict[int, MaskPatches]:
    """Objects 1, 2, ... with these probabilities in a frame of one pixel."""
    return {i: square(0, side=1, probability=p) for i, p in enumerate(probabilities, start=1)}


@pytest.mark.parametrize(
    ("probabilities", "vsreid", "threshold"),
    [
        ((0.6,), 1, 1),  # background 0.4
        ((0.4,), 0, 0),  # background 0.6
        ((0.4, 0.4), 1, 0),  # background 0.36: together they outweigh it
        ((0.3, 0.6, 0.5), 2, 2),
        ((0.9, 0.95), 2, 2),
        ((), 0, 0),
    ],
)
def test_labels_of_one_pixel_by_hand(probabilities, vsreid, threshold):
    assert merge_labels(pixel(*probabilities), (1, 1), VSREID).item() == vsreid
    assert merge_labels(pixel(*probabilities), (1, 1), THRESHOLD).item() == threshold


@pytest.mark.parametrize(
    ("probabilities", "vsreid", "threshold"),
    [
        ((0.25,), 1, 1),  # background 0.75 counts a quarter: 0.1875
        ((0.19,), 0, 0),  # 0.81 / 4 = 0.2025
        ((0.15, 0.17), 0, 0),  # 0.85 * 0.83 / 4 = 0.176
        ((0.15, 0.18), 2, 0),  # 0.85 * 0.82 / 4 = 0.174
    ],
)
def test_labels_below_one_half_by_hand(probabilities, vsreid, threshold):
    for method, label in (("vsreid", vsreid), ("threshold", threshold)):
        config = MergingConfig(method=method, threshold=0.2)
        assert merge_labels(pixel(*probabilities), (1, 1), config).item() == label


@pytest.mark.parametrize("threshold", [0.0, 1.0, 1.5])
def test_a_threshold_that_decides_nothing_is_refused(threshold):
    with pytest.raises(ConfigError, match=r"merging\.threshold .* between 0 and 1"):
        MergingConfig(threshold=threshold)


def test_probabilities_by_hand():
    found = merge_probabilities(pixel(0.8, 0.5), (1, 1))
    # background 0.2 * 0.5 = 0.1, Z = 1.4
    assert [found[i].item() for i in (0, 1, 2)] == pytest.approx([0.1 / 1.4, 0.8 / 1.4, 0.5 / 1.4])


def test_labels_are_the_arg_max_of_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    patches = {}
    for object_id in (4, 9, 200):
        corner = torch.randint(0, 20, (2,), generator=generator).float()
        box = torch.cat([corner, corner + torch.randint(8, 30, (2,), generator=generator)])[None]
        patches[object_id] = MaskPatches(box, torch.rand(1, 12, 12, generator=generator).half())
    labels = merge_labels(patches, (40, 36), VSREID)
    maps = merge_probabilities(patches, (40, 36))
    stacked = torch.stack([maps[i] for i in (0, 4, 9, 200)])
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), torch.tensor([0, 4, 9, 200])[stacked.argmax(0)])
    assert torch.allclose(stacked.sum(0), torch.ones(40, 36))
    assert set(labels.unique().tolist()) == {0, 4, 9, 200}


def test_the_output_may_be_larger_than_the_working_frames():
    labels = merge_labels({3: square(4, 2, side=4)}, (20, 40), VSREID, working_size=(10, 20))
    wanted = torch.zeros(20, 40, dtype=torch.uint8)
    wanted[4:12, 8:16] = 3
    assert torch.equal(labels, wanted)
