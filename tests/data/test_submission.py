"""The zip for the DAVIS server, and what it is refused for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dyenet.data.masks import write_index_mask
from dyenet.data.readers import open_dataset
from dyenet.data.submission import write_submission
from dyenet.errors import InputError

SIZE = (4, 6)
NAMES = ("00000", "00001", "00002")


def labels(*values: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    out = np.zeros(size, np.uint8)
    for row, value in enumerate(values):
        out[row] = value
    return out


@pytest.fixture
def dev_tree(tmp_path: Path) -> Path:
    """DIR/davis, a test-dev split of one sequence with objects 1 and 2, and DIR/pred, a whole result of it."""
    root = tmp_path / "davis"
    (root / "JPEGImages" / "480p" / "aerobatics").mkdir(parents=True)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "test-dev.txt").write_text("aerobatics\n")
    for name in NAMES:
        Image.new("RGB", SIZE[::-1]).save(root / "JPEGImages" / "480p" / "aerobatics" / f"{name}.jpg")
        write_index_mask(tmp_path / "pred" / "aerobatics" / f"{name}.png", labels(1, 2))
    write_index_mask(root / "Annotations" / "480p" / "aerobatics" / "00000.png", labels(1, 2, 2))
    return tmp_path


def refused(folder: Path) -> str:
    dataset = open_dataset("davis2017", folder / "davis", "test-dev")
    with pytest.raises(InputError) as error:
        write_submission(folder / "pred", dataset, folder / "submission.zip")
    assert sorted(p.name for p in folder.iterdir()) == ["davis", "pred"]  # no zip, whole or half
    return str(error.value)


def test_whole_result(dev_tree):
    Image.fromarray(labels(2)).save(dev_tree / "pred" / "aerobatics" / "00002.png")  # grey
    dataset = open_dataset("davis2017", dev_tree / "davis", "test-dev")
    write_submission(dev_tree / "pred", dataset, dev_tree / "submission.zip")
    with zipfile.ZipFile(dev_tree / "submission.zip") as archive:
        assert archive.namelist() == [f"aerobatics/{name}.png" for name in NAMES]
        with Image.open(io.BytesIO(archive.read("aerobatics/00002.png"))) as image:
            assert image.mode == "P"
            assert np.array_equal(np.array(image), labels(2))


def test_missing_frame(dev_tree):
    (dev_tree / "pred" / "aerobatics" / "00001.png").unlink()
    assert "lacks 1 of 3 masks, the first 00001.png" in refused(dev_tree)


def test_missing_sequence(dev_tree):
    (dev_tree / "pred" / "aerobatics").rename(dev_tree / "pred" / "other")
    assert "lacks 3 of 3 masks" in refused(dev_tree)


def test_another_size(dev_tree):
    write_index_mask(dev_tree / "pred" / "aerobatics" / "00001.png", labels(1, size=(5, 6)))
    assert "00001.png is 6x5, but those of aerobatics are 6x4" in refused(dev_tree)


@pytest.mark.parametrize("extra", [3, 255])
def test_unknown_label(dev_tree, extra):
    write_index_mask(dev_tree / "pred" / "aerobatics" / "00002.png", labels(1, extra))
    assert f"00002.png has object {extra}, which is not in the first mask" in refused(dev_tree)


def test_images_say_what_frames_there_are(dev_tree):
    for file in (dev_tree / "davis" / "JPEGImages" / "480p" / "aerobatics").iterdir():
        file.unlink()
    assert "has no images" in refused(dev_tree)
