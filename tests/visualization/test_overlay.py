import numpy as np
import pytest

from dyenet.visualization.overlay import contact_sheet, overlay

PALETTE = np.zeros((256, 3), np.uint8)
PALETTE[1], PALETTE[2] = (200, 0, 0), (0, 100, 0)


def test_objects_are_tinted_and_outlined():
    frame = np.full((9, 12, 3), 100, np.uint8)
    labels = np.zeros((9, 12), np.uint8)
    labels[2:7, 2:6], labels[2:7, 6:10] = 1, 2
    out = overlay(frame, labels, PALETTE, alpha=0.5)
    assert out[4, 4].tolist() == [150, 50, 50]  # inside object 1: half frame, half colour
    assert out[4, 8].tolist() == [50, 100, 50]
    assert out[2, 2].tolist() == out[4, 5].tolist() == [200, 0, 0]  # towards the background, and object 2
    assert out[4, 6].tolist() == [0, 100, 0]
    assert out[labels == 0].tolist() == frame[labels == 0].tolist()
    assert (frame == 100).all()


@pytest.mark.parametrize(("alpha", "inside"), [(0.0, 100), (1.0, 200)])
def test_alpha_is_the_share_of_the_colour(alpha, inside):
    out = overlay(np.full((7, 7, 3), 100, np.uint8), np.ones((7, 7), np.uint8), PALETTE, alpha=alpha)
    assert (out[..., 0] == inside).all()  # an object that fills the frame has no outline


def test_labels_of_another_size():
    with pytest.raises(ValueError, match="do not fit"):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), PALETTE)


def test_contact_sheet_goes_row_by_row():
    frames = [np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(frames, 2, gap=1)
    assert sheet[..., 0].tolist() == [
        [10, 10, 10, 255, 20, 20, 20],
        [10, 10, 10, 255, 20, 20, 20],
        [255] * 7,
        [30, 30, 30, 255, 255, 255, 255],
        [30, 30, 30, 255, 255, 255, 255],
    ]


def test_contact_sheet_is_no_wider_than_its_frames():
    assert contact_sheet([np.zeros((2, 3, 3), np.uint8)], 6).shape == (2, 3, 3)
    with pytest.raises(ValueError, match="no picture"):
        contact_sheet([], 2)
