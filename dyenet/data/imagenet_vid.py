"""ImageNet VID: boxes with track ids, for training re-identification and detection. It has no masks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dyenet.data.dataset import lacking, pictures_in
from dyenet.data.video_io import FolderVideo
from dyenet.errors import InputError
from dyenet.structures import Video

NAME = "imagenet-vid"
NUM_LISTINGS = 30
"""The training snippets are listed by class, in train_1.txt to train_30.txt."""


@dataclass(frozen=True)
class TrackedBoxes:
    """K objects of one frame: ``boxes`` (K, 4) float32 xyxy in pixels; K ``identities`` and ``classes`` (WordNet ids).

    An identity is (snippet, track id): track ids begin anew in every snippet.
    """

    boxes: NDArray[np.float32]
    identities: tuple[tuple[str, int], ...]
    classes: tuple[str, ...]


class ImageNetVid:
    """The snippets of ``train`` or ``val`` as ``sequences``, with their frames and boxes."""

    def __init__(self, root: Path | str, split: str) -> None:
        self.root, self.split = Path(root), split
        folder = self.root / "ImageSets" / "VID"
        if split == "train":
            listings = [folder / f"train_{i}.txt" for i in range(1, NUM_LISTINGS + 1)]
        else:
            listings = [folder / f"{split}.txt"]
        missing = [p for p in (*listings, self._annotations(".")) if not p.exists()]
        if missing:
            raise lacking(NAME, self.root, missing)
        lines = [line.split() for listing in listings for line in listing.read_text().splitlines()]
        # A line is a snippet and 1, 0 or -1 (does it show the class?), or a frame of a snippet and its number.
        names = (_snippet(line[0]) for line in lines if line and line[-1] not in ("0", "-1"))
        self.sequences: list[str] = list(dict.fromkeys(names))

    def frame_names(self, sequence: str) -> list[str]:
        """The annotated frames, in order."""
        names = sorted(p.stem for p in self._annotations(sequence).glob("*.xml"))
        if not names:
            raise lacking(NAME, self.root, [self._annotations(sequence) / "*.xml"])
        return names

    def images(self, sequence: str) -> dict[str, Path]:
        """Frame name -> file, in order. Raises InputError if the images are not on the disk."""
        folder = self.root / "Data" / "VID" / self.split / sequence
        images = pictures_in(folder)
        if not images:
            raise lacking(NAME, self.root, [folder])
        return images

    def video(self, sequence: str) -> Video:
        """The frames, read when asked for. Raises InputError if the images are not on the disk."""
        return FolderVideo(list(self.images(sequence).values()))

    def boxes(self, sequence: str, frame_name: str) -> TrackedBoxes:
        """The boxes of one frame, K of which may be 0. Raises InputError if it has no readable annotation."""
        path = self._annotations(sequence) / f"{frame_name}.xml"
        try:
            objects = ElementTree.parse(path).getroot().findall("object")
            boxes = [
                [_number(o, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")] for o in objects
            ]
            tracks = [int(_number(o, "trackid")) for o in objects]
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise InputError(f"the annotation {path} cannot be read ({error}); replace it") from error
        return TrackedBoxes(
            np.array(boxes, np.float32).reshape(-1, 4),
            tuple((sequence, track) for track in tracks),
            tuple(o.findtext("name", "") for o in objects),
        )

    def _annotations(self, sequence: str) -> Path:
        return self.root / "Annotations" / "VID" / self.split / sequence


def _snippet(word: str) -> str:
    """``val/ILSVRC2015_val_00000000/000000`` -> ``ILSVRC2015_val_00000000``; a training snippet is kept."""
    parts = word.split("/")
    parts = parts[:-1] if re.fullmatch(r"\d{6}", parts[-1]) else parts
    return "/".join(parts[1:] if parts[0] in ("train", "val", "test") else parts)


def _number(node: ElementTree.Element, path: str) -> float:
    text = node.findtext(path)
    if text is None:
        raise ValueError(f"an object has no {path}")
    return float(text)
