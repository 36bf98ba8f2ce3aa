"""Every way to give ``dyenet segment`` bad input ends in one sentence, exit code 2 and no whole-looking result."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dyenet.cli import main

HEIGHT, WIDTH, FRAMES = 48, 64, 3


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder with frames/ (3 JPEGs) and first.png (object 1)."""
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        frame = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(frame).save(tmp_path / "frames" / f"{index:05d}.jpg")
    save_mask(tmp_path / "first.png")
    return tmp_path


def save_mask(path: Path, *, size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 1) -> Path:
    mask = np.zeros(size, np.uint8)
    mask[10:30, 10:30] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def refuse(capsys: pytest.CaptureFixture[str], clip: Path, *options: str | Path, **changed: Path) -> str:
    """Runs ``segment`` and returns its sentence, after checking all that bad input must not do."""
    video, masks, out = (
        changed.get(k, clip / v) for k, v in (("video", "frames"), ("masks", "first.png"), ("out", "out"))
    )
    with pytest.raises(SystemExit) as stop:
        main(["segment", str(video), "--masks", str(masks), "--out", str(out), *map(str, options)])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in error
    sentences = [line for line in error.splitlines() if line.startswith("dyenet: ") and "warning" not in line]
    assert len(sentences) == 1
    assert not (Path(out) / "run.json").exists()
    assert not (Path(out) / "overlay.mp4").exists()
    return sentences[0]


def test_missing_video(capsys, clip):
    assert "nowhere.mp4" in refuse(capsys, clip, video=clip / "nowhere.mp4")


def test_unreadable_video(capsys, clip):
    (clip / "text.mp4").write_text("this is no video")
    assert "text.mp4" in refuse(capsys, clip, video=clip / "text.mp4")


def test_unreadable_frame(capsys, clip):
    (clip / "frames" / "00001.jpg").write_bytes(b"not a picture")
    assert "00001.jpg" in refuse(capsys, clip)


def test_video_without_frames(capsys, clip):
    (clip / "empty").mkdir()
    assert "empty" in refuse(capsys, clip, video=clip / "empty")


def test_video_file_without_frames(capsys, clip):
    with av.open(str(clip / "none.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = WIDTH, HEIGHT
    assert "none.mp4" in refuse(capsys, clip, video=clip / "none.mp4")


def test_missing_mask(capsys, clip):
    assert "nothing.png" in refuse(capsys, clip, masks=clip / "nothing.png")


def test_unreadable_mask(capsys, clip):
    (clip / "bad.png").write_bytes(b"\x89PNG but no more")
    assert "bad.png" in refuse(capsys, clip, masks=clip / "bad.png")


def test_mask_of_another_size(capsys, clip):
    sentence = refuse(capsys, clip, masks=save_mask(clip / "small.png", size=(40, 40)))
    assert "40" in sentence
    assert str(WIDTH) in sentence


def test_empty_mask(capsys, clip):
    sentence = refuse(capsys, clip, masks=save_mask(clip / "black.png", value=0))
    assert "black.png" in sentence


def test_rgb_picture_as_mask(capsys, clip):
    picture = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(picture).save(clip / "rgb.png")
    assert "rgb.png" in refuse(capsys, clip, masks=clip / "rgb.png")


def test_more_than_255_objects(capsys, clip):
    mask = np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape(HEIGHT, WIDTH) // 8  # ids 0..383
    Image.fromarray(mask.astype(np.uint16)).save(clip / "many.png")
    assert "255" in refuse(capsys, clip, masks=clip / "many.png")


def test_more_than_255_object_files(capsys, clip):
    for index in range(256):
        save_mask(clip / "objects" / f"object{index + 1}.png", value=255)
    assert "255" in refuse(capsys, clip, masks=clip / "objects")


def test_mask_for_a_frame_that_does_not_exist(capsys, clip):
    save_mask(clip / "annotations" / "00000.png")
    save_mask(clip / "annotations" / "00009.png")
    assert "00009" in refuse(capsys, clip, masks=clip / "annotations")


def test_weights_that_are_no_safetensors(capsys, clip):
    (clip / "model.safetensors").write_bytes(b"\x80\x04 a pickle")
    assert "model.safetensors" in refuse(capsys, clip, "--model", clip / "model.safetensors")


def test_weights_that_are_missing(capsys, clip):
    assert "gone.safetensors" in refuse(capsys, clip, "--model", clip / "gone.safetensors")


def test_unknown_model_name(capsys, clip):
    sentence = refuse(capsys, clip, "--model", "huge")
    assert "huge" in sentence
    assert "small" in sentence


def test_unknown_config_key(capsys, clip):
    sentence = refuse(capsys, clip, "--set", "inference.no_such_key=1")
    assert "no_such_key" in sentence


def test_output_folder_not_empty(capsys, clip):
    (clip / "out").mkdir()
    (clip / "out" / "notes.txt").write_text("mine")
    assert "--overwrite" in refuse(capsys, clip)
    assert (clip / "out" / "notes.txt").read_text() == "mine"


def test_output_is_a_file(capsys, clip):
    (clip / "file").write_text("")
    assert "is a file" in refuse(capsys, clip, out=clip / "file")


def test_masks_inside_the_output_are_never_overwritten(capsys, clip):
    mask = save_mask(clip / "out" / "masks" / "00000.png")
    assert "write over" in refuse(capsys, clip, "--overwrite", masks=mask)
    assert mask.is_file()


def test_a_model_inside_the_output_is_never_removed(capsys, clip):
    tuned = clip / "out" / "online.safetensors"
    tuned.parent.mkdir()
    tuned.write_bytes(b"weights")
    assert "would be replaced" in refuse(capsys, clip, "--overwrite", "--model", str(tuned))
    assert tuned.is_file()


def test_no_space_on_disk(capsys, clip, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", "00000.png")

    monkeypatch.setattr("dyenet.data.masks.write_index_mask", full)
    assert "no space left" in refuse(capsys, clip)
