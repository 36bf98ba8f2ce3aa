"""The folders of the masks for YouTube-Objects: ten classes, one object per shot, every 10th frame annotated."""

from __future__ import annotations

import re
from pathlib import Path

from dyenet.data.dataset import SequenceFiles, lacking, pictures_in


def list_sequences(root: Path, split: str) -> list[str]:
    """``<class>/<video>/<shot>``, such as ``cat/0001/003``, of every shot with at least two annotated frames.

    Two of the 126 shots have a single one, of which nothing is left to score after it is given.
    """
    shots = sorted(_base(root).glob("*/data/*/shots/*/labels"))
    if not shots:
        raise lacking("youtube-objects", root, [_base(root) / "<class>/data/<video>/shots/<shot>/labels"])
    return ["/".join(p.parts[i] for i in (-6, -4, -2)) for p in shots if len(pictures_in(p)) > 1]


def find_files(root: Path, split: str, sequence: str) -> SequenceFiles:
    """``labels/00011.jpg`` and ``images/00011.png``, or in the release of all frames ``images/frame0011.jpg``.

    Frames are named by their number in five digits, whichever release it is.
    """
    category, video, shot = sequence.split("/")
    folder = _base(root) / category / "data" / video / "shots" / shot
    labels = {_name(stem): (file,) for stem, file in pictures_in(folder / "labels").items()}
    images = {_name(stem): file for stem, file in pictures_in(folder / "images").items()}
    missing = [folder / "images" / name for name in labels if images and name not in images]
    if missing:
        raise lacking("youtube-objects", root, missing)
    return SequenceFiles(folder / "images", images, labels)


def _base(root: Path) -> Path:
    return root / "youtube_masks" if (root / "youtube_masks").is_dir() else root


def _name(stem: str) -> str:
    number = re.search(r"\d+$", stem)
    return f"{int(number.group()):05d}" if number else stem
