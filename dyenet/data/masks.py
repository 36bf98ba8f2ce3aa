"""Index masks as files: one number per pixel, 0 the background and 1..255 the object ids (docs/masks.md)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyenet.errors import InputError
from dyenet.files import atomic_path

if TYPE_CHECKING:
    from dyenet.structures import Video  # loads torch, which reading masks does not need

IndexMask = NDArray[np.uint8]
"""(H, W) uint8: 0 background, 1..255 object ids."""

VOID = 255
"""The label of pixels that belong to nothing; 0/255 masks of one object have no such pixels."""

MAX_OBJECTS = 255
HOW_TO_SAVE = (
    "save it as an 8-bit palette or grey PNG with 0 for the background and 1, 2, ... for the objects"
)


def _voc_palette() -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB: bit 3k+c of an index, from the lowest, is bit 7-k of its colour c (PASCAL VOC, DAVIS)."""
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for k in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> (3 * k + channel) & 1) << (7 - k)).astype(np.uint8)
    return palette


PALETTE = _voc_palette()
"""(256, 3) uint8 RGB, the colours of DAVIS: 1 dark red, 2 green, 3 olive, 4 blue, ..."""


def read_labels(path: Path | str) -> IndexMask:
    """(H, W) uint8: the numbers in a palette, grey or 1-bit PNG as stored; a 1-bit mask is 0 and 1.

    Raises InputError if the file is missing, broken, or no 8-bit index mask.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no mask at {path}")
    try:
        with Image.open(path) as image:
            mode, kind = image.mode, image.format
            labels = np.array(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask {path} cannot be read ({error}); replace it") from error
    if kind != "PNG":
        raise InputError(f"the mask {path} is {kind}, which does not keep labels exactly; {HOW_TO_SAVE}")
    if mode.startswith("I"):
        raise InputError(
            f"the mask {path} has 16 bits per pixel; masks have 8, for at most {MAX_OBJECTS} objects: {HOW_TO_SAVE}"
        )
    if mode not in ("P", "L", "1"):
        raise InputError(f"the mask {path} is an {mode} picture, not an index mask; {HOW_TO_SAVE}")
    if mode == "L":
        labels = labels // _grey_step(Path(path))
    return labels.astype(np.uint8)


def _grey_step(path: Path) -> int:
    """What one level of a grey PNG is worth after Pillow has stretched 2 and 4 bits to 0..255."""
    with path.open("rb") as file:
        bits = file.read(25)[24]  # signature 8, chunk length and type 8, width and height 8
    return {2: 85, 4: 17}.get(bits, 1)


def read_index_mask(path: Path | str) -> IndexMask:
    """(H, W) uint8: 0 background, 1..255 object ids, from a palette, grey or 1-bit PNG.

    A grey mask that holds only 0 and 255 shows one object, and it becomes object 1. Raises InputError.
    """
    labels = read_labels(path)
    with Image.open(path) as image:
        grey = image.mode == "L"
    if grey and (labels == 255).any() and ((labels == 0) | (labels == 255)).all():
        labels = labels // 255
    return labels


def write_index_mask(path: Path | str, labels: IndexMask) -> None:
    """Writes (H, W) uint8 labels as a palette PNG in the colours of DAVIS, whole or not at all."""
    if labels.dtype != np.uint8 or labels.ndim != 2:
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}, not uint8 (H, W)")
    image = Image.fromarray(labels)
    image.putpalette(PALETTE.tobytes())  # makes it a palette image
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def read_given_masks(path: Path | str, video: Video) -> dict[int, IndexMask]:
    """The masks a user gives for ``video``: frame index -> (H, W) uint8 index mask, in the order of the frames.

    ``path`` is one PNG (the first frame's mask), a folder of frame-named PNGs, or a folder of one 0/255 PNG per
    object (all of the first frame). Files that are named like the frames make a folder of frames: those whose
    name is a frame's name once every digit is taken for 0. In a folder of objects, names that are all whole
    numbers are the object ids; else the ids are 1, 2, ... in natural order of the names. Where objects overlap,
    the later id wins, with a warning.

    Raises InputError: nothing there, not an index mask, another size than the frames, empty, a frame that does
    not exist, more than 255 objects, two files with one id.
    """
    path = Path(path)
    if path.is_file():
        if path.stem in video.names[1:]:
            warnings.warn(
                f"{path} is used as the mask of the first frame; to give it for frame {path.stem}, give a folder "
                "that holds it",
                stacklevel=2,
            )
        return {0: _checked(path, read_index_mask(path), video)}
    if not path.is_dir():
        raise InputError(f"there are no masks at {path}")
    files = sorted((p for p in path.iterdir() if p.suffix.lower() == ".png"), key=natural_order)
    files = [p for p in files if not p.name.startswith(".")]
    if not files:
        raise InputError(f"the folder {path} holds no PNG masks")
    frame_shapes = {_name_shape(name) for name in video.names}
    if any(_name_shape(file.stem) in frame_shapes for file in files):
        return _read_frames(files, video)
    return {0: _read_objects(files, video)}


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """A sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.stem)
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in [*parts, path.suffix]]


def _name_shape(name: str) -> str:
    return re.sub(r"\d", "0", name)


def _read_frames(files: Sequence[Path], video: Video) -> dict[int, IndexMask]:
    index = {name: i for i, name in enumerate(video.names)}
    for file in files:
        if file.stem not in index:
            raise InputError(
                f"the mask {file} is for a frame that does not exist: there is no frame named {file.stem}; "
                f"the video has {video.names[0]} to {video.names[-1]}"
            )
    masks = {index[file.stem]: _checked(file, read_index_mask(file), video) for file in files}
    return dict(sorted(masks.items()))


def _read_objects(files: Sequence[Path], video: Video) -> IndexMask:
    ids = _object_ids(files)
    labels = np.zeros(video.size, np.uint8)
    for object_id, file in sorted(zip(ids, files, strict=True)):
        mask = _checked(file, read_labels(file), video)
        if len(np.unique(mask[mask > 0])) > 1:
            raise InputError(
                f"the mask {file} holds several labels; in a folder of one PNG per object each shows one object as "
                "0 and 255 (masks of several objects are named like the frames)"
            )
        overlap = labels[mask > 0]
        if overlap.any():
            others = ", ".join(map(str, np.unique(overlap[overlap > 0])))
            warnings.warn(
                f"object {object_id} ({file.name}) overlaps object {others} in "
                f"{np.count_nonzero(overlap)} pixels, which go to object {object_id}",
                stacklevel=3,
            )
        labels[mask > 0] = object_id
    return labels


def _object_ids(files: Sequence[Path]) -> list[int]:
    if len(files) > MAX_OBJECTS:
        raise InputError(
            f"the folder {files[0].parent} holds {len(files)} masks of objects; at most {MAX_OBJECTS} objects"
        )
    if not all(re.fullmatch(r"[0-9]+", file.stem) for file in files):
        return list(range(1, len(files) + 1))
    ids = [int(file.stem) for file in files]
    for position, (object_id, file) in enumerate(zip(ids, files, strict=True)):
        if not 1 <= object_id <= MAX_OBJECTS:
            raise InputError(
                f"the mask {file} names object {object_id}; object ids are 1 to {MAX_OBJECTS}: rename it"
            )
        if object_id in ids[:position]:
            raise InputError(f"two masks in {file.parent} name object {object_id}; rename {file.name}")
    return ids


def _checked(path: Path, mask: IndexMask, video: Video) -> IndexMask:
    height, width = video.size
    if mask.shape != (height, width):
        raise InputError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]}, but the frames are {width}x{height}; resize the "
            "mask with nearest neighbour"
        )
    if not mask.any():
        raise InputError(f"the mask {path} is empty; it must show at least one object")
    return mask
