"""Single images with instance masks, each a sequence of one frame."""

from __future__ import annotations

from pathlib import Path

from dyenet.data.dataset import SequenceFiles, lacking, pictures_in


def list_sequences(root: Path, split: str) -> list[str]:
    """The stems of ``masks/*.png``: 0 background, 1..K the objects, 255 void."""
    masks = pictures_in(root / "masks")
    if not masks:
        raise lacking("static", root, [root / "masks" / "*.png"])
    return list(masks)


def find_files(root: Path, split: str, sequence: str) -> SequenceFiles:
    """``images/<sequence>.jpg`` and ``masks/<sequence>.png``."""
    folder = root / "images"
    found = [
        p for p in (folder / f"{sequence}{suffix}" for suffix in (".jpg", ".jpeg", ".png")) if p.is_file()
    ]
    return SequenceFiles(
        folder, {sequence: found[0]} if found else {}, {sequence: (root / "masks" / f"{sequence}.png",)}
    )
