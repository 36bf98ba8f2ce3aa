"""The data sets of videos with masks, by name: one row each over the folders they are kept in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dyenet.data import davis, segtrack, static_images, youtube_objects, youtube_vos
from dyenet.data.dataset import Layout, VideoDataset, read_binary, read_index, read_pictures
from dyenet.errors import InputError


def _davis(name: str, *listings: str, **changed: object) -> Layout:
    options: dict = {
        "sequences": partial(davis.list_sequences, name=name, listings=listings),
        "files": davis.find_files,
        "read": read_index,
        **changed,
    }
    return Layout(**options)


LAYOUTS: dict[str, Layout] = {
    # DAVIS 2016 has its own listings; those of 2017 list its sequences too, with several objects to be merged.
    "davis2016": _davis("davis2016", "480p", "2016", read=read_binary),
    "davis2017": _davis("davis2017", "2017"),
    "synthetic": _davis("synthetic", "2017", late_objects=True),
    "composites": _davis("composites", "2017", late_objects=True),
    "segtrackv2": Layout(sequences=segtrack.list_sequences, files=segtrack.find_files, read=read_pictures),
    "youtube-objects": Layout(
        sequences=youtube_objects.list_sequences,
        files=youtube_objects.find_files,
        read=read_pictures,
        splits=("all",),
        image_size_of_mask=True,  # the release of all frames has images of twice the masks' size
    ),
    "youtube-vos": Layout(
        sequences=youtube_vos.list_sequences,
        files=youtube_vos.find_files,
        read=read_index,
        late_objects=True,
    ),
    "static": Layout(
        sequences=static_images.list_sequences,
        files=static_images.find_files,
        read=read_index,
        splits=("all",),
    ),
}
"""Data set name -> its folders. ImageNet VID, which has boxes and no masks, is ``imagenet_vid.ImageNetVid``."""


def open_dataset(name: str, root: Path | str, split: str) -> VideoDataset:
    """The sequences of ``split`` of the data set ``name`` in the folder ``root``.

    Raises InputError for an unknown name, and one that lists what is missing for an incomplete data set.
    """
    if name not in LAYOUTS:
        raise InputError(f"there is no data set {name!r}; there are {', '.join(LAYOUTS)}")
    layout, root = LAYOUTS[name], Path(root)
    if not root.is_dir():
        raise InputError(f"the data set {name} is not at {root}: there is no such folder")
    if layout.splits and split not in layout.splits:
        raise InputError(f"the data set {name} has no split {split!r}, only {', '.join(layout.splits)}")
    return VideoDataset(name, root, split, layout)
