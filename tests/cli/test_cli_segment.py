"""``dyenet segment`` and ``dyenet synthesize`` as a user runs them, on a clip of a few small frames."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dyenet.cli import main
from dyenet.cli.segment import clear_result

HEIGHT, WIDTH, FRAMES = 48, 64, 4
QUICK = ["--set", "inference.iterative.max_rounds=1", "--set", "inference.propagation.max_passes=1"]


def make_clip(folder: Path, frames: int = FRAMES) -> None:
    """frames/ and first.png, where two textured squares (ids 1 and 7) stand before noise."""
    (folder / "frames").mkdir(parents=True)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:25, 5:25], mask[20:45, 35:60] = 1, 7
    for index in range(frames):
        Image.fromarray(np.roll(texture, index, 1)).save(folder / "frames" / f"f{index:02d}.jpg")
    Image.fromarray(mask).save(folder / "first.png")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def segment(clip: Path, out: Path, *options: str, video: Path | None = None) -> int:
    return run(
        "segment", video or clip / "frames", "--masks", clip / "first.png", "--out", out, *QUICK, *options
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and the result of one run in out/."""
    clip = tmp_path_factory.mktemp("clip")
    make_clip(clip)
    assert segment(clip, clip / "out") == 0
    return clip


def test_every_frame_has_a_palette_mask_with_the_given_ids(done):
    files = sorted((done / "out" / "masks").iterdir())
    assert [f.name for f in files] == [f"f{i:02d}.png" for i in range(FRAMES)]
    for file in files:
        with Image.open(file) as image:
            assert image.mode == "P"
            assert image.size == (WIDTH, HEIGHT)
            assert image.getpalette()[3:6] == [128, 0, 0]  # DAVIS: object 1 is dark red
            assert set(np.unique(image)) <= {0, 1, 7}
    first = np.array(Image.open(files[0]))
    np.testing.assert_array_equal(first, np.array(Image.open(done / "first.png")))


def test_overlay_shows_every_frame(done):
    with av.open(str(done / "out" / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == FRAMES
    assert (frames[0].width, frames[0].height) == (WIDTH, HEIGHT)


def test_run_json_tells_how_it_was_made(done):
    report = json.loads((done / "out" / "run.json").read_text())
    assert report["frames"] == FRAMES
    assert report["size"] == [WIDTH, HEIGHT]
    assert report["objects"] == [1, 7]
    assert report["model"]["name"] == "small"
    assert report["config"]["inference"]["iterative"]["max_rounds"] == 1
    assert {"python", "dyenet", "torch"} <= set(report["versions"])
    assert {"total", "trunk", "merge"} <= set(report["seconds"])
    assert report["trunk_runs"] == FRAMES
    given = [(t["object"], t["frame"]) for t in report["templates"] if t["given"]]
    assert sorted(given) == [(1, 0), (7, 0)]
    assert set(report["links"]) == {"1", "7"}
    assert report["rounds"][0]["number"] == 1


def test_checkpointed_schedule_and_smaller_frames(done, tmp_path):
    assert (
        segment(done, tmp_path / "out", "--schedule", "checkpointed", "--max-size", "48", "--no-overlay") == 0
    )
    report = json.loads((tmp_path / "out" / "run.json").read_text())
    assert report["schedule"] == "checkpointed"
    assert report["config"]["inference"]["max_size"] == max(report["working_size"]) == 48
    assert {"propagate", "retrieve"} <= set(report["seconds"])
    with Image.open(tmp_path / "out" / "rounds.png") as image:
        assert min(image.size) > 100
    assert not (tmp_path / "out" / "overlay.mp4").exists()
    with Image.open(tmp_path / "out" / "masks" / "f03.png") as image:
        assert image.size == (WIDTH, HEIGHT)


def test_overwrite_leaves_nothing_of_the_earlier_result_and_all_else(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("masks/old.png", "masks/notes.txt", "run.json", "overlay.mp4", "rounds.png", "mine.png"):
        (tmp_path / name).write_text("x")
    clear_result(tmp_path)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["masks/notes.txt", "mine.png"]


def test_failed_run_with_overwrite_keeps_the_earlier_result(done, tmp_path, capsys):
    shutil.copytree(done / "out", tmp_path / "out")
    before = (tmp_path / "out" / "run.json").read_bytes()
    assert segment(done, tmp_path / "out", "--overwrite", "--set", "inference.nothing=1") == 2
    assert (tmp_path / "out" / "run.json").read_bytes() == before
    assert len(list((tmp_path / "out" / "masks").iterdir())) == FRAMES


def test_truncated_video_is_segmented_with_a_warning(tmp_path, capsys):
    make_clip(tmp_path)
    cut = tmp_path / "cut.avi"
    rng = np.random.default_rng(0)
    with av.open(str(cut), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(10):
            picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    assert segment(tmp_path, tmp_path / "out", "--no-overlay", video=cut) == 0
    error = capsys.readouterr().err
    assert "dyenet: warning: the video" in error
    assert "cut.avi" in error
    masks = list((tmp_path / "out" / "masks").iterdir())
    assert 1 <= len(masks) < 10
    assert json.loads((tmp_path / "out" / "run.json").read_text())["frames"] == len(masks)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_finished_frames_whole(tmp_path):
    make_clip(tmp_path, frames=20)
    out = tmp_path / "out"
    slowed = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job's children ignore it
        "from dyenet.inference.result import SegmentationResult\n"
        "labels = SegmentationResult.labels\n"
        "SegmentationResult.labels = lambda self, frame: (time.sleep(0.2), labels(self, frame))[1]\n"
        "from dyenet.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    command = ["segment", str(tmp_path / "frames"), "--masks", str(tmp_path / "first.png"), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", slowed, *command, *QUICK], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("masks/*.png"))) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    written = sorted(p.name for p in (out / "masks").iterdir())
    assert 3 <= len(written) < 20
    for name in written:
        assert np.array(Image.open(out / "masks" / name)).shape == (HEIGHT, WIDTH)
    assert sorted(p.name for p in out.iterdir()) == ["masks"]  # no overlay, no report, no temporary files


def test_synthesize_makes_a_clip_that_segment_takes(tmp_path, capsys):
    assert run("synthesize", tmp_path / "c", "--frames", "40", "--size", "96x64", "--objects", "2") == 0
    frames = sorted((tmp_path / "c/JPEGImages/480p/synthetic").iterdir())
    masks = sorted((tmp_path / "c/Annotations/480p/synthetic").iterdir())
    assert [f.stem for f in frames] == [m.stem for m in masks] == [f"{i:05d}" for i in range(40)]
    assert Image.open(frames[0]).size == Image.open(masks[0]).size == (96, 64)
    assert set(np.unique(np.array(Image.open(masks[0])))) == {0, 1, 2}
    assert run("synthesize", tmp_path / "c", "--frames", "40") == 2
    assert "--overwrite" in capsys.readouterr().err
