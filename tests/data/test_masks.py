"""Index masks: what is read, what is refused and how, and that what is written is read again."""

from __future__ import annotations

import struct
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from dyenet.data.masks import PALETTE, read_given_masks, read_index_mask, write_index_mask
from dyenet.errors import InputError
from dyenet.structures import ArrayVideo

SIZE = (6, 8)
VIDEO = ArrayVideo(np.zeros((3, *SIZE, 3), np.uint8))  # frames 00000, 00001, 00002

labels = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12))
into_folder = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mask(*values: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Object ``values[k]`` in row k, background elsewhere."""
    out = np.zeros(size, np.uint8)
    for row, value in enumerate(values):
        out[row] = value
    return out


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def refused(path: Path) -> str:
    """The sentence that ``read_given_masks`` refuses ``path`` with."""
    with pytest.raises(InputError) as error:
        read_given_masks(path, VIDEO)
    return str(error.value)


def grey_png(bits: int, rows: list[list[int]]) -> bytes:
    """A grey PNG of 2 or 4 bits per pixel, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b""
    for row in rows:
        packed = int("".join(f"{v:0{bits}b}" for v in row), 2)
        lines += b"\0" + packed.to_bytes(len(row) * bits // 8, "big")
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


# Palette and files


def test_palette_is_that_of_davis():
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(c) for c in PALETTE[:7].tolist()] == first
    assert PALETTE[8].tolist() == [64, 0, 0]
    assert PALETTE[255].tolist() == [224, 224, 192]
    assert len(np.unique(PALETTE, axis=0)) == 256


@given(labels)
@into_folder
def test_what_is_written_is_read_again(tmp_path, values):
    write_index_mask(tmp_path / "a.png", values)
    assert np.array_equal(read_index_mask(tmp_path / "a.png"), values)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image.convert("RGB")), PALETTE[values])
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@given(labels)
@into_folder
def test_grey_masks_hold_the_ids(tmp_path, values):
    save(tmp_path / "grey.png", values)
    binary = set(np.unique(values)) <= {0, 255}
    assert np.array_equal(read_index_mask(tmp_path / "grey.png"), values // 255 if binary else values)


def test_black_and_white_is_object_1(tmp_path):
    save(tmp_path / "grey.png", mask(0, 255))
    save(tmp_path / "bit.png", mask(0, 1).astype(bool))
    assert np.array_equal(read_index_mask(tmp_path / "grey.png"), mask(0, 1))
    assert np.array_equal(read_index_mask(tmp_path / "bit.png"), mask(0, 1))


def test_255_beside_other_ids_stays_255(tmp_path):
    assert np.array_equal(read_index_mask(save(tmp_path / "a.png", mask(1, 255))), mask(1, 255))


@pytest.mark.parametrize(("bits", "row"), [(2, [0, 1, 2, 3]), (4, [0, 1, 9, 15])])
def test_grey_masks_of_few_bits_are_not_stretched(tmp_path, bits, row):
    (tmp_path / "few.png").write_bytes(grey_png(bits, [row, row]))
    assert read_index_mask(tmp_path / "few.png").tolist() == [row, row]


def test_only_uint8_labels_are_written(tmp_path):
    with pytest.raises(ValueError, match="int64"):
        write_index_mask(tmp_path / "a.png", np.zeros(SIZE, np.int64))
    assert list(tmp_path.iterdir()) == []


# One file


def test_one_file_is_the_first_frame(tmp_path):
    given_masks = read_given_masks(save(tmp_path / "anything.png", mask(0, 7, 3)), VIDEO)
    assert list(given_masks) == [0]
    assert np.array_equal(given_masks[0], mask(0, 7, 3))


def test_one_file_that_is_named_like_a_later_frame_is_warned_about(tmp_path):
    with pytest.warns(UserWarning, match="mask of the first frame"):
        assert list(read_given_masks(save(tmp_path / "00002.png", mask(1)), VIDEO)) == [0]


def test_rgb_picture_is_refused(tmp_path):
    sentence = refused(save(tmp_path / "rgb.png", np.zeros((*SIZE, 3), np.uint8)))
    assert "rgb.png is an RGB picture, not an index mask; save it as an 8-bit palette or grey PNG" in sentence
    assert "RGBA" in refused(save(tmp_path / "rgba.png", np.zeros((*SIZE, 4), np.uint8)))


def test_more_than_255_values_are_refused(tmp_path):
    sentence = refused(save(tmp_path / "deep.png", np.arange(48, dtype=np.uint16).reshape(SIZE) * 20))
    assert "deep.png has 16 bits per pixel" in sentence
    assert "at most 255 objects" in sentence


def test_jpeg_is_refused(tmp_path):
    assert "is JPEG, which does not keep labels exactly" in refused(save(tmp_path / "a.jpg", mask(255)))


def test_missing_and_broken_files_are_named(tmp_path):
    assert f"no masks at {tmp_path / 'gone.png'}" in refused(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("not a picture")
    assert "text.png cannot be read" in refused(tmp_path / "text.png")
    whole = save(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))
    whole.write_bytes(whole.read_bytes()[:2000])
    assert "cut.png cannot be read" in refused(whole)


def test_other_size_is_refused_with_both_sizes(tmp_path):
    sentence = refused(save(tmp_path / "a.png", mask(1, size=(6, 9))))
    assert "a.png is 9x6, but the frames are 8x6" in sentence


def test_empty_mask_is_refused(tmp_path):
    assert "a.png is empty" in refused(save(tmp_path / "a.png", mask()))


# A folder of frames


@given(st.dictionaries(st.integers(0, 2), arrays(np.uint8, SIZE).filter(np.any), min_size=1))
@settings(deadline=None, max_examples=30)
def test_any_frames_are_read_as_written(written):
    with tempfile.TemporaryDirectory() as folder:
        for frame, values in written.items():
            write_index_mask(Path(folder, f"{frame:05d}.png"), values)
        read = read_given_masks(folder, VIDEO)
    assert list(read) == sorted(written)
    assert all(np.array_equal(read[frame], values) for frame, values in written.items())


def test_folder_of_frames(tmp_path):
    save(tmp_path / "00002.png", mask(0, 5))
    save(tmp_path / "00001.png", mask(2))
    given_masks = read_given_masks(tmp_path, VIDEO)
    assert list(given_masks) == [1, 2]
    assert np.array_equal(given_masks[1], mask(2))
    assert np.array_equal(given_masks[2], mask(0, 5))


@pytest.mark.parametrize("names", [["00009"], ["00000", "00009"], ["00000", "extra"]])
def test_mask_for_a_frame_that_does_not_exist(tmp_path, names):
    for name in names:
        save(tmp_path / f"{name}.png", mask(1))
    sentence = refused(tmp_path)
    assert f"no frame named {names[-1]}; the video has 00000 to 00002" in sentence


def test_every_frame_of_a_folder_is_checked(tmp_path):
    save(tmp_path / "00000.png", mask(1))
    save(tmp_path / "00001.png", mask())
    assert "00001.png is empty" in refused(tmp_path)


def test_empty_folder(tmp_path):
    assert "holds no PNG masks" in refused(tmp_path)


# A folder of objects


@given(arrays(np.uint8, SIZE).filter(np.any))
@settings(deadline=None, max_examples=30)
def test_any_index_mask_can_be_given_object_by_object(values):
    with tempfile.TemporaryDirectory() as folder:
        for object_id in np.unique(values[values > 0]):
            save(Path(folder, f"{object_id}.png"), (values == object_id).astype(np.uint8) * 255)
        assert np.array_equal(read_given_masks(folder, VIDEO)[0], values)


def test_objects_named_by_their_ids(tmp_path):
    save(tmp_path / "12.png", mask(0, 255))
    save(tmp_path / "3.png", mask(0, 0, 255))
    save(tmp_path / "7.png", mask(1).astype(bool))
    given_masks = read_given_masks(tmp_path, VIDEO)
    assert list(given_masks) == [0]
    assert np.array_equal(given_masks[0], mask(7, 12, 3))


def test_objects_with_other_names_are_numbered_in_natural_order(tmp_path):
    for row, name in enumerate(["dog10", "dog2", "cat"]):
        save(tmp_path / f"{name}.png", mask(*[0] * row, 255))
    assert np.array_equal(read_given_masks(tmp_path, VIDEO)[0], mask(3, 2, 1))


def test_overlap_goes_to_the_later_id_with_a_warning(tmp_path):
    save(tmp_path / "1.png", mask(255, 255))
    save(tmp_path / "2.png", mask(0, 255, 255))
    with pytest.warns(UserWarning, match=r"object 2 \(2.png\) overlaps object 1 in 8 pixels"):
        given_masks = read_given_masks(tmp_path, VIDEO)
    assert np.array_equal(given_masks[0], mask(1, 2, 2))


def test_no_warning_without_overlap(tmp_path):
    save(tmp_path / "1.png", mask(255))
    save(tmp_path / "2.png", mask(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_given_masks(tmp_path, VIDEO)[0], mask(1, 2))


def test_object_file_with_several_labels_is_refused(tmp_path):
    save(tmp_path / "first.png", mask(1, 2))
    assert "first.png holds several labels" in refused(tmp_path)


def test_object_ids_outside_1_to_255_are_refused(tmp_path):
    save(tmp_path / "256.png", mask(255))
    assert "names object 256; object ids are 1 to 255" in refused(tmp_path)


def test_one_id_twice_is_refused(tmp_path):
    save(tmp_path / "1.png", mask(255))
    save(tmp_path / "01.png", mask(0, 255))
    assert "two masks" in refused(tmp_path)


def test_too_many_objects(tmp_path):
    for index in range(256):
        save(tmp_path / f"object{index}.png", mask(255))
    assert "holds 256 masks of objects; at most 255" in refused(tmp_path)
