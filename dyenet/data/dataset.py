"""A data set of videos with masks: where the files of a sequence are, and what is read from them.

How one data set's folders are laid out is a ``Layout``; ``dyenet.data.readers`` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dyenet.data.masks import VOID, IndexMask, natural_order, read_labels
from dyenet.data.video_io import IMAGE_SUFFIXES, FolderVideo
from dyenet.errors import InputError

if TYPE_CHECKING:
    from dyenet.structures import Video  # loads torch, which reading masks does not need


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence, in the order of its frames; a frame's name is the stem of its mask.

    ``images``: frame name -> file, empty where the images are not on the disk (``image_folder`` is where they
    would be); ``masks``: frame name -> files, one index mask or one 0/255 mask per object; ``first_frames``:
    object id -> the frame in which it is given, where the data set says so.
    """

    image_folder: Path
    images: Mapping[str, Path]
    masks: Mapping[str, tuple[Path, ...]]
    first_frames: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One data set's folders.

    ``sequences(root, split)`` lists the names of the sequences, and raises InputError that says all that is
    missing; ``files(root, split, sequence)`` finds one sequence's files; ``read(files)`` reads one frame's masks as
    (H, W) uint8. ``splits``: the only ones there are; empty where any split that has a file listing it will do.
    ``late_objects``: objects may first appear, and are then given, after the first annotated frame.
    ``image_size_of_mask``: images are resized to the masks.
    """

    sequences: Callable[[Path, str], list[str]]
    files: Callable[[Path, str, str], SequenceFiles]
    read: Callable[[Sequence[Path]], IndexMask]
    splits: tuple[str, ...] = ()
    late_objects: bool = False
    image_size_of_mask: bool = False


class VideoDataset:
    """The sequences of one split. Annotations are read without any image on the disk."""

    def __init__(self, name: str, root: Path | str, split: str, layout: Layout) -> None:
        self.name, self.root, self.split = name, Path(root), split
        self._layout = layout
        self.sequences: list[str] = layout.sequences(self.root, split)
        self._files: dict[str, SequenceFiles] = {}

    def frame_names(self, sequence: str) -> list[str]:
        """The names of all frames; where the images are not on the disk, of the annotated ones."""
        files = self._find(sequence)
        return list(files.images or files.masks)

    def video(self, sequence: str) -> Video:
        """The frames, read when asked for. Raises InputError if the images are not on the disk."""
        files = self._find(sequence)
        if not files.images:
            raise InputError(
                f"sequence {sequence} of {self.name} has no images: {files.image_folder} has no frames in it"
            )
        size = None
        if self._layout.image_size_of_mask and files.masks:
            height, width = self.read_mask(sequence, next(iter(files.masks))).shape
            size = (height, width)
        return FolderVideo(list(files.images.values()), names=list(files.images), size=size)

    def annotations(self, sequence: str) -> Mapping[str, tuple[Path, ...]]:
        """Frame name -> the files of its mask, for the annotated frames in their order."""
        return self._find(sequence).masks

    def read_mask(self, sequence: str, frame_name: str) -> IndexMask:
        """(H, W) uint8: 0 background, object ids, 255 void; InputError if the frame is not annotated."""
        files = self._find(sequence).masks.get(frame_name)
        if files is None:
            raise InputError(f"frame {frame_name} of sequence {sequence} of {self.name} has no annotation")
        return self._layout.read(files)

    def first_masks(self, sequence: str) -> dict[int, IndexMask]:
        """What a semi-supervised run is given: index among ``frame_names`` -> (H, W) uint8 without void.

        The first annotated frame that shows an object, or each object in its own first frame where a data set has
        objects that appear later.
        """
        files = self._find(sequence)
        index = {name: i for i, name in enumerate(self.frame_names(sequence))}
        masks = dict(self._given(sequence, files))
        missing = [files.image_folder / name for name in masks if name not in index]
        if missing:
            raise lacking(self.name, self.root, missing)
        return {index[name]: mask for name, mask in masks.items()}

    def instances(self, sequence: str) -> list[int]:
        """The ids of the objects in ``first_masks``, ascending."""
        files = self._find(sequence)
        if files.first_frames:
            return sorted(files.first_frames)
        return sorted({i for mask in self.first_masks(sequence).values() for i in object_ids(mask)})

    def _given(self, sequence: str, files: SequenceFiles) -> Iterator[tuple[str, IndexMask]]:
        seen: set[int] = set()
        for name in files.masks:
            if files.first_frames:
                new = {i for i, first in files.first_frames.items() if first == name}
                labels = self.read_mask(sequence, name) if new else None
            else:
                labels = self.read_mask(sequence, name)
                new = set(object_ids(labels)) - seen
            if labels is None or not new:
                continue
            seen |= new
            yield name, np.where(np.isin(labels, list(new)), labels, 0).astype(np.uint8)
            if not files.first_frames and not self._layout.late_objects:
                return

    def _find(self, sequence: str) -> SequenceFiles:
        if sequence not in self._files:
            if sequence not in self.sequences:
                raise InputError(f"{self.name} {self.split} has no sequence {sequence}")
            self._files[sequence] = self._layout.files(self.root, self.split, sequence)
        return self._files[sequence]


def object_ids(labels: IndexMask) -> list[int]:
    """The ids in an index mask, ascending, without background and void."""
    return [int(i) for i in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if 0 < i < VOID]


def read_index(files: Sequence[Path]) -> IndexMask:
    """(H, W) uint8 as stored: object ids, 255 void."""
    return read_labels(files[0])


def read_binary(files: Sequence[Path]) -> IndexMask:
    """(H, W) uint8 in {0, 1}: all that is not 0 is one object."""
    return (read_labels(files[0]) > 0).astype(np.uint8)


def read_pictures(files: Sequence[Path]) -> IndexMask:
    """(H, W) uint8: object k is what is bright (>= 128 in any channel) in the k-th picture; later ones win."""
    labels = None
    for object_id, file in enumerate(files, start=1):
        try:
            with Image.open(file) as image:
                bright = np.array(image.convert("RGB")).max(2) >= 128
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"the mask {file} cannot be read ({error}); replace it") from error
        labels = np.zeros(bright.shape, np.uint8) if labels is None else labels
        if bright.shape != labels.shape:
            raise InputError(f"the mask {file} differs in size from {files[0]}")
        labels[bright] = object_id
    if labels is None:
        raise ValueError("no files")
    return labels


def pictures_in(folder: Path) -> dict[str, Path]:
    """Stem -> file of the images in a folder, in natural order; empty if there is no such folder."""
    if not folder.is_dir():
        return {}
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return {p.stem: p for p in sorted(files, key=natural_order)}


def lacking(name: str, root: Path, missing: Sequence[Path]) -> InputError:
    """The one error of an incomplete data set: all that was looked for and not found."""
    listed = ", ".join(str(p) for p in missing[:4])
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    return InputError(
        f"the data set {name} at {root} is incomplete: there is no {listed}{more}; docs/datasets.md shows its folders"
    )
