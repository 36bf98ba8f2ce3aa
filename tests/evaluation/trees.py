"""Miniature data sets and predictions for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dyenet.data.masks import write_index_mask


def davis_tree(root: Path, sequences: Mapping[str, Sequence[np.ndarray]], split: str = "val") -> Path:
    """A DAVIS 2017 tree of annotations only: sequence -> (H, W) uint8 masks of frames 00000, 00001, ..."""
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(sequences) + "\n")
    save_masks(root / "Annotations" / "480p", sequences)
    return root


def save_masks(folder: Path, sequences: Mapping[str, Sequence[np.ndarray]]) -> Path:
    """``<folder>/<sequence>/00000.png``, ..."""
    for name, masks in sequences.items():
        for index, mask in enumerate(masks):
            write_index_mask(folder / name / f"{index:05d}.png", mask)
    return folder


def squares(*, places: Sequence[tuple[int, int, int]], size: int = 10, shape=(60, 80)) -> np.ndarray:
    """An index mask with a square of ``size`` at each (object id, top, left)."""
    mask = np.zeros(shape, np.uint8)
    for object_id, top, left in places:
        mask[top : top + size, left : left + size] = object_id
    return mask
