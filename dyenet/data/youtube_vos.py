"""The folders of YouTube-VOS: every 5th frame annotated, objects that appear later."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from dyenet.data.dataset import SequenceFiles, lacking, pictures_in
from dyenet.errors import InputError


def list_sequences(root: Path, split: str) -> list[str]:
    """The videos in ``<split>/meta.json``."""
    missing = [p for p in (root / split / "meta.json", root / split / "Annotations") if not p.exists()]
    if missing:
        raise lacking("youtube-vos", root, missing)
    sequences = sorted(_videos(root / split / "meta.json"))
    missing = [p for p in (root / split / "Annotations" / s for s in sequences) if not p.is_dir()]
    if missing:
        raise lacking("youtube-vos", root, missing)
    return sequences


def find_files(root: Path, split: str, sequence: str) -> SequenceFiles:
    """``<split>/{JPEGImages,Annotations}/<sequence>/*``; an object is given in the first frame meta.json names."""
    folder = root / split
    masks = pictures_in(folder / "Annotations" / sequence)
    objects = _videos(folder / "meta.json")[sequence]["objects"]
    first = {int(object_id): min(about["frames"]) for object_id, about in objects.items() if about["frames"]}
    missing = [folder / "Annotations" / sequence / f"{f}.png" for f in first.values() if f not in masks]
    if missing:
        raise lacking("youtube-vos", root, missing)
    return SequenceFiles(
        folder / "JPEGImages" / sequence,
        pictures_in(folder / "JPEGImages" / sequence),
        {name: (file,) for name, file in masks.items()},
        first,
    )


@lru_cache(maxsize=4)
def _videos(meta: Path) -> dict[str, Any]:
    try:
        return json.loads(meta.read_text())["videos"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{meta} is no description of YouTube-VOS videos ({error}); replace it") from error
