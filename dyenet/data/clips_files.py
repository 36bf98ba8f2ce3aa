"""Which files training clips are made of: videos of a DAVIS tree, images with masks, plain images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyenet.data.davis import read_listing
from dyenet.data.masks import VOID, read_labels, write_index_mask
from dyenet.data.textures import Picture
from dyenet.data.video_io import IMAGE_SUFFIXES
from dyenet.errors import InputError
from dyenet.files import atomic_path


@dataclass(frozen=True)
class AnnotatedVideo:
    """A sequence with a mask per frame; ``binary``: masks are 0/255, one object, and 255 is not void."""

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    num_objects: int
    binary: bool

    def mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) uint8: 0, object ids, 255 void."""
        mask = read_labels(self.masks[index])
        return (mask > 0).astype(np.uint8) if self.binary else mask

    def identity_names(self) -> list[str]:
        """One per object: its folder and its id."""
        return [f"{self.images[0].parent} {k}" for k in range(1, self.num_objects + 1)]


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its index mask; ``object_ids``: those with at least the pixels that were asked for."""

    image: Path
    mask: Path
    object_ids: tuple[int, ...]

    def identity_names(self) -> list[str]:
        """One per object: its file and its id."""
        return [f"{self.image} {k}" for k in self.object_ids]


def read_picture(path: Path) -> Picture:
    """(H, W, 3) uint8 RGB. Raises InputError that names the file if it is missing or broken."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the image {path} cannot be read ({error}); replace or remove it") from error


def find_videos(root: Path | str, split: str) -> list[AnnotatedVideo]:
    """The sequences of a DAVIS 2016 or 2017 tree named in ``split`` (``train``, ``val``, ...), at 480p.

    A tree with listings of both years is read as one of 2017; ``split="2016/train"`` chooses. Frames without a mask
    are left out. Raises InputError that says which path was looked at.
    """
    root = Path(root)
    splits = [split] if "/" in split else [f"{year}/{split}" for year in ("2017", "480p", "2016")]
    listings = [root / "ImageSets" / f"{name}.txt" for name in splits]
    listing = next((p for p in listings if p.is_file()), None)
    if listing is None:
        raise InputError(
            f"no data set at {root}: none of {', '.join(str(p) for p in listings)} exists; set its root in the config"
        )
    return [_video(root, name) for name in read_listing(listing)]


def _video(root: Path, name: str) -> AnnotatedVideo:
    folder = root / "JPEGImages" / "480p" / name
    images = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    pairs = [(p, root / "Annotations" / "480p" / name / f"{p.stem}.png") for p in images]
    pairs = [pair for pair in pairs if pair[1].is_file()]
    if not pairs:
        raise InputError(f"sequence {name} has no frames with masks: looked at {folder} and its Annotations")
    counts = np.bincount(read_labels(pairs[0][1]).ravel(), minlength=256)
    binary = not counts[1:VOID].any()
    objects = 1 if binary else int(np.flatnonzero(counts[1:VOID])[-1]) + 1
    return AnnotatedVideo(name, tuple(p for p, _ in pairs), tuple(m for _, m in pairs), objects, binary)


def find_images(
    root: Path | str, *, min_area: float = 0.005, skip_corrupt: bool = False
) -> list[AnnotatedImage]:
    """Images with index masks under ``root``: ``images/`` + ``masks/*.png``, every frame of a DAVIS tree, or the
    objects of PASCAL VOC, ``JPEGImages/`` + ``SegmentationObject/*.png``.

    Objects below ``min_area`` of their image are not listed, nor images without any other. A mask that cannot
    be read raises InputError, or is left out with a warning that counts them.
    """
    root = Path(root)
    if (root / "images").is_dir():
        pairs = [(p, root / "masks" / f"{p.stem}.png") for p in list_pictures(root / "images")]
    elif (root / "JPEGImages" / "480p").is_dir():
        frames = sorted((root / "JPEGImages" / "480p").glob("*/*.jpg"))
        pairs = [(p, root / "Annotations" / "480p" / p.parent.name / f"{p.stem}.png") for p in frames]
    elif (root / "SegmentationObject").is_dir():
        masks = sorted((root / "SegmentationObject").glob("*.png"))
        pairs = [(root / "JPEGImages" / f"{m.stem}.jpg", m) for m in masks]
    else:
        raise InputError(
            f"no images at {root}: it holds neither images/ nor JPEGImages/480p/ nor SegmentationObject/"
        )
    found, corrupt = [], 0
    for image, mask in pairs:
        if not mask.is_file():
            continue
        try:
            counts = np.bincount(read_labels(mask).ravel(), minlength=256)
        except InputError:
            if not skip_corrupt:
                raise
            corrupt += 1
            continue
        ids = [i for i in range(1, VOID) if counts[i] >= max(1, min_area * counts.sum())]
        if ids:
            found.append(AnnotatedImage(image, mask, tuple(ids)))
    if corrupt:
        warnings.warn(f"{corrupt} masks in {root} cannot be read and were left out", stacklevel=2)
    if not found:
        raise InputError(f"no image with a mask in {root}")
    return found


def list_pictures(folder: Path | str) -> list[Path]:
    """The image files of a folder, sorted; ``folder/images`` where that exists. InputError if there is none."""
    folder = Path(folder)
    folder = folder / "images" if (folder / "images").is_dir() else folder
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"no images in {folder}")
    return found


def pick_ids(mask: NDArray[np.uint8], ids: Sequence[int]) -> NDArray[np.uint8]:
    """``mask`` with object ``ids[k]`` as k + 1; other objects become background, 255 stays void."""
    table = np.zeros(256, np.uint8)
    table[VOID] = VOID
    table[list(ids)] = np.arange(1, len(ids) + 1)
    return table[mask]


def save_sequence(
    root: Path | str, name: str, frames: NDArray[np.uint8], masks: NDArray[np.uint8], split: str = "val"
) -> None:
    """Adds a sequence to the DAVIS 2017 tree at ``root`` and its name to ``ImageSets/2017/<split>.txt``.

    ``frames`` (T, H, W, 3) uint8 RGB become ``JPEGImages/480p/<name>/%05d.jpg``, ``masks`` (T, H, W) uint8
    palette PNGs ``Annotations/480p/<name>/%05d.png``.
    """
    root = Path(root)
    (root / "JPEGImages" / "480p" / name).mkdir(parents=True, exist_ok=True)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        Image.fromarray(frame).save(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", quality=95)
        write_index_mask(root / "Annotations" / "480p" / name / f"{index:05d}.png", mask)
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    known = listing.read_text().split() if listing.is_file() else []
    with atomic_path(listing) as part:
        part.write_text("\n".join(dict.fromkeys([*known, name])) + "\n")
