import numpy as np
import pytest
from PIL import Image

from dyenet.inference.checkpointed import Round
from dyenet.visualization.rounds import draw_rounds, owners

BOX = (0.0, 0.0, 9.0, 9.0)
FIGURE_3 = [
    Round(0, 1, 0, 1.0, BOX, [1, 2, 3, 4, 5], [0] * 6),
    Round(1, 1, 5, 0.9, BOX, [3, 4], [0, 0, 0, 5, 5, 5]),
]


def test_owners_of_figure_3():
    owner, written = owners(FIGURE_3, 1, 6)
    assert owner.tolist() == [[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert written.astype(int).tolist() == [[1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]]


def test_several_given_masks_are_one_first_pass_and_other_objects_are_left_out():
    rounds = [
        Round(0, 1, 0, 1.0, BOX, [1], [0, 0, 3, 3, None]),
        Round(0, 2, 0, 1.0, BOX, [1, 2, 3, 4], [0] * 5),
        Round(0, 1, 3, 1.0, BOX, [2], [0, 0, 3, 3, None]),
        Round(1, 1, 4, 0.8, BOX, [], [0, 0, 3, 3, 4]),
    ]
    owner, written = owners(rounds, 1, 5)
    assert owner.tolist() == [[0, 0, 1, 1, -1], [0, 0, 1, 1, 2]]
    assert written.sum(1).tolist() == [4, 1]


def test_the_picture_is_a_png_with_the_colours_of_its_rounds(tmp_path):
    path = tmp_path / "rounds.png"
    draw_rounds(FIGURE_3, 6, path)
    assert [p.name for p in tmp_path.iterdir()] == ["rounds.png"]
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    share = {c: (np.abs(pixels - np.array(c)).max(1) < 3).mean() for c in [(140, 140, 140), (230, 85, 13)]}
    assert share[(140, 140, 140)] > 1.5 * share[(230, 85, 13)] > 0.02  # six cells written first, three later
    with pytest.raises(ValueError, match="no rounds"):
        draw_rounds([], 6, path)
