"""Videos from folders and files, read in any order; files that end early; writing H.264."""

from __future__ import annotations

import shutil
import struct
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFile

from dyenet.data.video_io import FileVideo, FolderVideo, open_video, read_frame, write_video
from dyenet.errors import InputError

HEIGHT, WIDTH, FRAMES = 48, 64, 40


def frame(index: int) -> np.ndarray:
    """A grey level per frame, a red square in the top left corner, and noise that costs bits between them."""
    image = np.full((HEIGHT, WIDTH, 3), 20 + 4 * index, np.uint8)
    image[:, 16:48] = np.random.default_rng(index).integers(0, 255, (HEIGHT, 32, 3))
    image[:16, :16] = (250, 20, 20)
    return image


def number(image: np.ndarray) -> int:
    """Which ``frame`` an image is."""
    return round((float(image[-16:, -16:].mean()) - 20) / 4)


def encode(path: Path, container: str, codec: str, *, audio: float = 0.0) -> Path:
    """FRAMES frames at 20 per second, a key frame at least every 8; ``audio``: seconds of silence."""
    options = {"movflags": "faststart"} if container == "mp4" else {}
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=20)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "8"}
        stream.bit_rate = 4_000_000
        sound = file.add_stream("aac", rate=16000) if audio else None
        for index in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame(index), format="rgb24")))
        file.mux(stream.encode())
        if sound:
            silence = np.zeros((1, int(16000 * audio)), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.sample_rate = 16000
            file.mux(sound.encode(samples))
            file.mux(sound.encode())
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def save_frames(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(frame(index)).save(folder / name)
    return folder


# Folders


def test_folder_in_natural_order(tmp_path):
    video = open_video(save_frames(tmp_path, ["f1.png", "f2.png", "f10.png"]))
    assert list(video.names) == ["f1", "f2", "f10"]
    assert video.size == (HEIGHT, WIDTH)
    assert [number(video[i]) for i in range(len(video))] == [0, 1, 2]
    assert np.array_equal(video[2], frame(2))


def test_folder_without_frames(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="holds no frames"):
        open_video(tmp_path)


def test_folder_with_a_broken_frame_fails_when_opened(tmp_path):
    save_frames(tmp_path, ["0.png", "1.png"])
    (tmp_path / "1.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"1\.png cannot be read"):
        open_video(tmp_path)


def test_frame_that_breaks_off_fails_when_read(tmp_path):
    save_frames(tmp_path, ["0.jpg"])
    cut(tmp_path / "0.jpg", 0.7)
    with pytest.raises(InputError, match=r"0\.jpg cannot be read"):
        open_video(tmp_path)[0]


def test_frames_of_two_sizes(tmp_path):
    save_frames(tmp_path, ["0.png", "1.png"])
    Image.fromarray(frame(0)[:40]).save(tmp_path / "2.png")
    with pytest.raises(InputError, match=r"2\.png is 64x40, but the first is 64x48"):
        open_video(tmp_path)


def test_two_frames_of_one_name(tmp_path):
    save_frames(tmp_path, ["0.png", "0.jpg"])
    with pytest.raises(InputError, match=r"two frames in .* are named 0"):
        open_video(tmp_path)


def test_frames_can_be_resized_when_read(tmp_path):
    save_frames(tmp_path, ["0.png"])
    video = FolderVideo([tmp_path / "0.png"], size=(24, 32))
    assert video.size == (24, 32)
    assert video[0].shape == (24, 32, 3)
    assert video[0][0, 0].tolist() == [250, 20, 20]


def test_grey_and_transparent_frames_become_rgb(tmp_path):
    Image.fromarray(frame(3)[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(frame(3)).convert("RGBA").save(tmp_path / "rgba.png")
    assert read_frame(tmp_path / "grey.png").shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(read_frame(tmp_path / "rgba.png"), frame(3))


def test_16_bit_frames_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match="8-bit RGB"):
        open_video(tmp_path)


def test_sideways_photos_are_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    Image.fromarray(frame(0)).save(tmp_path / "0.png", exif=exif)
    video = open_video(tmp_path)
    assert video.size == (WIDTH, HEIGHT)
    assert video[0].shape[:2] == video.size
    assert video[0][0, -1].tolist() == [250, 20, 20]  # top left went to the top right


def test_frames_turned_differently(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(frame(0)).save(tmp_path / "0.png")
    Image.fromarray(frame(1)).save(tmp_path / "1.png", exif=exif)
    with pytest.raises(InputError, match=r"1\.png is 48x64, but the first is 64x48"):
        open_video(tmp_path)[1]


def test_opening_a_folder_decodes_one_frame(tmp_path, monkeypatch):
    loaded = []
    save_frames(tmp_path, ["0.png", "1.png", "2.png"])
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: loaded.append(self.filename) or load(self))
    open_video(tmp_path)
    assert {Path(name).name for name in loaded} == {"0.png"}


# Files


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("matroska", "libx264"),
        ("mpegts", "libx264"),
        ("avi", "mpeg4"),
        ("webm", "libvpx"),
        ("h264", "libx264"),  # no timestamps: cannot seek
    ],
)
def test_frames_of_a_file_in_any_order(tmp_path, container, codec):
    video = open_video(encode(tmp_path / f"clip.{container}", container, codec))
    assert isinstance(video, FileVideo)
    assert len(video) == FRAMES
    assert video.size == (HEIGHT, WIDTH)
    assert video.names[-1] == "00039"
    video._cache_size = 2  # so that nearly every frame is sought and decoded again
    order = [*range(FRAMES), *reversed(range(FRAMES)), 39, 3, 20, 19, 18, 0, 38, 7, 8, 9]
    assert [number(video[i]) for i in order] == order


def test_reading_backwards_decodes_a_group_of_frames_once(tmp_path):
    video = FileVideo(encode(tmp_path / "clip.mp4", "mp4", "libx264"))
    decoded = 0
    forward = video._forward

    def counted(index):
        nonlocal decoded
        decoded += 1
        return forward(index)

    video._forward = counted
    video._cache.clear()
    video._next = FRAMES
    assert [number(video[i]) for i in reversed(range(FRAMES))] == list(reversed(range(FRAMES)))
    assert decoded == len(video._keys) < FRAMES / 4


def test_frame_rate_and_index_errors(tmp_path):
    video = open_video(encode(tmp_path / "clip.mp4", "mp4", "libx264"))
    assert video.fps == 20
    assert number(video[-1]) == FRAMES - 1
    with pytest.raises(IndexError):
        video[FRAMES]


def test_two_files_can_be_read_in_turns(tmp_path):
    a = open_video(encode(tmp_path / "a.mp4", "mp4", "libx264"))
    b = open_video(tmp_path / "a.mp4")
    assert [number(v[i]) for i in range(9) for v in (a, b)] == [i for i in range(9) for _ in (a, b)]


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libx264"), ("matroska", "libx264"), ("webm", "libvpx")]
)
def test_file_that_ends_early_is_used_with_a_warning(tmp_path, container, codec):
    path = cut(encode(tmp_path / f"clip.{container}", container, codec), 0.6)
    with pytest.warns(UserWarning, match=rf"clip.{container} is damaged or ends early"):
        video = open_video(path)
    assert 5 < len(video) < FRAMES
    assert [number(video[i]) for i in range(len(video) - 1)] == list(range(len(video) - 1))
    assert video[len(video) - 1].shape == (HEIGHT, WIDTH, 3)


def test_file_damaged_in_the_middle_can_be_read_both_ways(tmp_path):
    path = encode(tmp_path / "clip.mkv", "matroska", "libx264")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = bytes(9000)
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"clip\.mkv is damaged"):
        video = open_video(path)
    video._cache_size = 2
    order = [*range(len(video)), *reversed(range(len(video)))]
    assert FRAMES / 2 < len(video) < FRAMES
    assert {video[i].shape for i in order} == {(HEIGHT, WIDTH, 3)}
    assert [number(video[i]) for i in (0, 9, 3)] == [0, 9, 3]


def test_sound_that_outlasts_the_picture_is_no_damage(tmp_path):
    path = encode(tmp_path / "clip.mp4", "mp4", "libx264", audio=5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_video(path)) == FRAMES


def test_turned_video(tmp_path):
    """A phone's portrait video: the track's matrix says to show it a quarter turn clockwise."""
    path = encode(tmp_path / "clip.mp4", "mp4", "libx264")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # after version 0's times, ids, layer and volume
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)
    video = open_video(path)
    assert video.size == (WIDTH, HEIGHT)
    red, green, _ = video[0][4, -4].astype(int)
    assert red > 200
    assert green < 80


def test_files_that_are_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video")
    with pytest.raises(InputError, match=r"text\.mp4 cannot be read"):
        open_video(tmp_path / "text.mp4")
    with pytest.raises(InputError, match=r"no video at .*gone\.mp4"):
        open_video(tmp_path / "gone.mp4")


def test_file_of_sound_alone(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        file.mux(stream.encode(samples))
    with pytest.raises(InputError, match=r"sound\.wav holds no video"):
        open_video(tmp_path / "sound.wav")


def test_file_without_frames(tmp_path):
    with av.open(str(tmp_path / "none.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height = WIDTH, HEIGHT
    with pytest.raises(InputError, match=r"none\.mp4"):
        open_video(tmp_path / "none.mp4")


# Writing


def test_written_video_is_read_again(tmp_path):
    write_video(tmp_path / "out.mp4", (frame(i) for i in range(12)), fps=12.5)
    video = open_video(tmp_path / "out.mp4")
    assert video.fps == 12.5
    assert [number(video[i]) for i in range(len(video))] == list(range(12))
    assert np.abs(video[5].astype(int) - frame(5))[:, 48:].mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_odd_sizes_are_padded(tmp_path):
    write_video(tmp_path / "odd.mp4", [frame(0)[:47, :63]] * 3, fps=24)
    assert open_video(tmp_path / "odd.mp4").size == (48, 64)


def test_video_without_frames_is_not_written(tmp_path):
    with pytest.raises(InputError, match="no frames to write"):
        write_video(tmp_path / "none.mp4", [], fps=24)
    assert list(tmp_path.iterdir()) == []


def test_video_that_fails_half_way_is_not_there(tmp_path):
    def frames():
        yield frame(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "out.mp4", frames(), fps=24)
    assert list(tmp_path.iterdir()) == []


def test_earlier_video_stays_until_the_new_one_is_whole(tmp_path):
    write_video(tmp_path / "out.mp4", [frame(0)] * 2, fps=24)
    shutil.copy(tmp_path / "out.mp4", tmp_path / "copy.mp4")
    with pytest.raises(ZeroDivisionError):
        write_video(tmp_path / "out.mp4", (frame(1 // i) for i in (1, 0)), fps=24)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "copy.mp4").read_bytes()
