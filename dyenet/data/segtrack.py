"""The folders of SegTrack v2: 14 videos, 24 objects; PNG or BMP, found per folder."""

from __future__ import annotations

from pathlib import Path

from dyenet.data.dataset import SequenceFiles, lacking, pictures_in
from dyenet.data.masks import natural_order


def list_sequences(root: Path, split: str) -> list[str]:
    """The videos of ``ImageSets/<split>.txt`` (``all``), whose every line starts with ``*``."""
    listing = root / "ImageSets" / f"{split}.txt"
    if not listing.is_file():
        raise lacking("segtrackv2", root, [listing])
    sequences = [line.strip().lstrip("*").strip() for line in listing.read_text().splitlines()]
    sequences = [s for s in sequences if s]
    wanted = [p for s in sequences for p in (root / "ImageSets" / f"{s}.txt", root / "GroundTruth" / s)]
    missing = [p for p in wanted if not p.exists()]
    if missing:
        raise lacking("segtrackv2", root, missing)
    return sequences


def find_files(root: Path, split: str, sequence: str) -> SequenceFiles:
    """The frames of ``ImageSets/<sequence>.txt``; its first line is the folder's name.

    A video of several objects has one folder of masks per object, ``GroundTruth/<sequence>/1``, ``2``, ...
    """
    listing = root / "ImageSets" / f"{sequence}.txt"
    folder_name, *frames = [line.strip() for line in listing.read_text().splitlines() if line.strip()]
    truth = root / "GroundTruth" / folder_name
    objects = sorted((p for p in truth.iterdir() if p.is_dir()), key=natural_order) or [truth]
    masks_of = [pictures_in(folder) for folder in objects]
    images = pictures_in(root / "JPEGImages" / folder_name)
    missing = [truth / frame for frame in frames if not all(frame in masks for masks in masks_of)]
    missing += [root / "JPEGImages" / folder_name / f for f in frames if images and f not in images]
    if missing:
        raise lacking("segtrackv2", root, missing)
    return SequenceFiles(
        root / "JPEGImages" / folder_name,
        {frame: images[frame] for frame in frames} if images else {},
        {frame: tuple(masks[frame] for masks in masks_of) for frame in frames},
    )
