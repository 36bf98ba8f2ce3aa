"""Videos in and out: a folder of frames, a file through FFmpeg, and H.264 files.

Frames are RGB uint8 (H, W, 3), read one at a time; see ``dyenet.structures.Video``.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from PIL import Image, ImageOps

from dyenet.data.masks import natural_order
from dyenet.errors import InputError
from dyenet.files import atomic_path

if TYPE_CHECKING:
    from dyenet.structures import Frame, Video  # loads torch, which reading masks does not need

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
DEFAULT_FPS = 24.0
CACHE_BYTES = 128 * 2**20
"""Decoded frames of a file that are kept, so that reading backwards does not decode every frame anew."""


def open_video(path: Path | str) -> Video:
    """A folder of JPEG or PNG frames in natural order of their names, or any video file that FFmpeg reads.

    Frames of a file are named 00000, 00001, ... Raises InputError if nothing is there, nothing can be read, or
    there are no frames. A file that ends early is used as far as it can be decoded, with a warning.
    """
    path = Path(path)
    if path.is_dir():
        return FolderVideo(list_frames(path))
    if not path.exists():
        raise InputError(f"there is no video at {path}")
    return FileVideo(path)


def list_frames(folder: Path | str) -> list[Path]:
    """The images of a folder in natural order (frame2 before frame10); InputError if there is none."""
    folder = Path(folder)
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES] if folder.is_dir() else []
    files = sorted((p for p in files if not p.name.startswith(".")), key=natural_order)
    if not files:
        raise InputError(f"the folder {folder} holds no frames (JPEG or PNG)")
    return files


def read_frame(path: Path | str) -> Frame:
    """(H, W, 3) uint8 RGB, turned upright where the file says how. Raises InputError that names the file."""
    with _opened(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@contextmanager
def _opened(path: Path | str) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(f"the frame {path} has more than 8 bits per channel; save it as 8-bit RGB")
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the frame {path} cannot be read ({error}); replace or remove it") from error


class FolderVideo:
    """Image files as a video, each read when asked for; ``names`` are the files' stems unless given.

    ``size`` (H, W) shrinks or enlarges every frame when it is read; without it, all frames must have one size.
    Raises InputError if a frame cannot be read or differs in size (headers are read at once), or two have one
    name.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        names: Sequence[str] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        if not files:
            raise InputError("the video has no frames")
        self._files = list(files)
        self.names: Sequence[str] = list(names) if names else [file.stem for file in files]
        self.fps = DEFAULT_FPS
        self._resize = size is not None
        self.size: tuple[int, int] = size or self._common_size()
        if len(set(self.names)) < len(self.names):
            twice = next(a for a, b in pairwise(sorted(self.names)) if a == b)
            raise InputError(f"two frames in {files[0].parent} are named {twice}; remove one")

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Frame:
        frame = read_frame(self._files[index])
        height, width = frame.shape[:2]
        if (height, width) == self.size:
            return frame
        if not self._resize:  # the files agree in size, but not in which side is up
            raise self._differs(self._files[index], (width, height), self.size[::-1])
        return _resized(frame, self.size)

    def _common_size(self) -> tuple[int, int]:
        """(H, W) of every frame, after a look at the headers of all."""
        first = (0, 0)
        for file in self._files:
            with _opened(file) as image:
                size = (image.width, image.height)
            first = size if file is self._files[0] else first
            if size != first:
                raise self._differs(file, size, first)
        height, width = read_frame(self._files[0]).shape[:2]
        return height, width

    @staticmethod
    def _differs(file: Path, size: tuple[int, int], first: tuple[int, int]) -> InputError:
        return InputError(
            f"the frame {file} is {size[0]}x{size[1]}, but the first is {first[0]}x{first[1]}; all frames must have "
            "one size"
        )


def _resized(frame: Frame, size: tuple[int, int]) -> Frame:
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


class FileVideo:
    """A video file, decoded as it is read: fast in order, by seeking otherwise; the last frames are kept.

    Opening decodes the file once, without keeping it, to know exactly which frames there are: containers count
    packets, and not every packet becomes a frame. A file that breaks off is used as far as it can be decoded,
    with a UserWarning. Raises InputError if nothing can be decoded.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._broken, self._end = False, 0.0
        self._container = self._open()
        stream = self._container.streams.video[0]
        self.fps = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
        self._timestamps, self._keys = self._scan()
        self.names: Sequence[str] = [f"{i:05d}" for i in range(len(self._timestamps))]
        # Seeking needs timestamps that grow; a raw stream has none, and is read again from its beginning.
        known = [t for t in self._timestamps if t is not None]
        growing = all(a < b for a, b in pairwise(known))
        self._index: dict[int | None, int] = {}
        if growing and len(known) == len(self):
            self._index = {t: i for i, t in enumerate(known)}
        self._cache: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._cache_size = 2
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next = 0  # the frame that ``_frames`` gives next
        self._whole_from = 0  # frames before this one may be damaged, because they were reached by seeking
        self._rewind()
        first = self._decode(0)
        self._cache_size = max(2, CACHE_BYTES // (first.width * first.height * 3 // 2))
        shape = _upright(first).shape
        self.size: tuple[int, int] = (shape[0], shape[1])

    def __len__(self) -> int:
        return len(self._timestamps)

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a video of {len(self)}")
        frame = _upright(self._decode(index % len(self)))
        # A stream may change its size on the way.
        return frame if frame.shape[:2] == self.size else _resized(frame, self.size)

    def close(self) -> None:
        """Closes the file; frames can no longer be read."""
        self._frames = iter(())
        self._cache.clear()
        self._container.close()

    def _open(self) -> av.container.InputContainer:
        try:
            container = av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"the video {self.path} cannot be read ({reason})") from error
        if not container.streams.video:
            container.close()
            raise InputError(f"the file {self.path} holds no video")
        # not "AUTO": with a thread per frame, what a damaged frame is reported as depends on the threads' timing
        container.streams.video[0].thread_type = "SLICE"
        return container

    def _read(self) -> Iterator[av.VideoFrame]:
        """Frames from where the container stands; what cannot be decoded is left out and noted."""
        video = self._container.streams.video[0].index
        try:
            for packet in self._container.demux():
                if packet.pts is not None and packet.time_base:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._end = max(self._end, end)
                if packet.stream_index != video:
                    continue
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self._broken = True
                    continue
                for frame in frames:
                    if isinstance(frame, av.VideoFrame):
                        self._broken |= frame.is_corrupt
                        yield frame
        except av.FFmpegError:
            self._broken = True

    def _scan(self) -> tuple[list[int | None], list[int]]:
        """The timestamp of every frame that can be decoded, and the indices of the key frames."""
        timestamps: list[int | None] = []
        keys = []
        for frame in self._read():
            if frame.key_frame:
                keys.append(len(timestamps))
            timestamps.append(frame.pts)
        if not timestamps:
            raise InputError(f"the video {self.path} has no frames that can be decoded")
        start = (self._container.start_time or 0) / av.time_base
        length = (self._container.duration or 0) / av.time_base
        ends_early = self._end - start < length - max(0.3, 0.02 * length)
        too_few = len(timestamps) < 0.98 * self._container.streams.video[0].frames
        if self._broken or ends_early or too_few:
            warnings.warn(
                f"the video {self.path} is damaged or ends early; the {len(timestamps)} frames that can be decoded "
                "are used",
                stacklevel=4,
            )
        return timestamps, keys

    def _decode(self, index: int) -> av.VideoFrame:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        key = self._keys[max(0, bisect_right(self._keys, index) - 1)] if self._keys and self._index else 0
        if index < self._next or key > self._next:
            if key > 0:
                self._seek(key)
            else:
                self._rewind()
        frame = self._forward(index)
        if frame is None and self._whole_from:  # the container's index led past the frame
            self._rewind()
            frame = self._forward(index)
        if frame is None:
            raise InputError(f"frame {index} of {self.path} can no longer be read; was the file changed?")
        return frame

    def _forward(self, index: int) -> av.VideoFrame | None:
        """Decodes on to frame ``index`` and caches what comes by; None if it does not come."""
        for frame in self._frames:
            number = self._index.get(frame.pts) if self._index else self._next
            if number is None:  # a damaged file gives frames after seeking that it does not give in order
                continue
            if number > index:
                break
            self._next = number + 1
            if number < self._whole_from:
                continue
            self._cache[number] = frame
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
            if number == index:
                return frame
        return None

    def _rewind(self) -> None:
        self._container.close()
        self._container = self._open()
        self._frames = self._read()
        self._next, self._whole_from = 0, 0

    def _seek(self, key: int) -> None:
        self._container.seek(self._timestamps[key] or 0, stream=self._container.streams.video[0])
        self._frames = self._read()
        self._next, self._whole_from = key, key


def _upright(frame: av.VideoFrame) -> Frame:
    """(H, W, 3) uint8 RGB of a decoded frame, turned as its display matrix says."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # quarter turns, counter-clockwise
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def write_video(path: Path | str, frames: Iterable[Frame], fps: float) -> None:
    """Writes RGB frames of one size as H.264 in MP4, whole or not at all.

    An odd width or height is made even by repeating the last column or row. Raises InputError without frames.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"there are no frames to write to {path}")
    height, width = first.shape[:2]
    edges = ((0, height % 2), (0, width % 2), (0, 0))
    with atomic_path(path) as temporary:
        options = {"movflags": "faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
            stream.options = {"crf": "20", "preset": "veryfast"}
            for frame in chain([first], frames):
                padded = np.pad(frame, edges, mode="edge") if width % 2 or height % 2 else frame
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
