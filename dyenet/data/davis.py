"""The folders of DAVIS 2016 and 2017, at 480p; synthetic clips and composites are saved in them too."""

from __future__ import annotations

from pathlib import Path

from dyenet.data.dataset import SequenceFiles, lacking, pictures_in

IMAGES = Path("JPEGImages", "480p")
ANNOTATIONS = Path("Annotations", "480p")


def read_listing(path: Path) -> list[str]:
    """The sequences that a split file names.

    A line holds a sequence's name, or, in DAVIS 2016's own listings, the files of one frame as
    "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png ".
    """
    words = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    return list(dict.fromkeys(Path(w).parent.name if "/" in w else w for w in words))


def list_sequences(root: Path, split: str, *, name: str, listings: tuple[str, ...]) -> list[str]:
    """The sequences in ``ImageSets/<listing>/<split>.txt``, of the first listing that has the split."""
    paths = [root / "ImageSets" / listing / f"{split}.txt" for listing in listings]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise lacking(name, root, paths)
    sequences = read_listing(path)
    missing = [p for p in (root / ANNOTATIONS / s for s in sequences) if not p.is_dir()]
    if missing:
        raise lacking(name, root, missing)
    return sequences


def find_files(root: Path, split: str, sequence: str) -> SequenceFiles:
    """``JPEGImages/480p/<sequence>/*.jpg`` and ``Annotations/480p/<sequence>/*.png``."""
    masks = pictures_in(root / ANNOTATIONS / sequence)
    folder = root / IMAGES / sequence
    return SequenceFiles(folder, pictures_in(folder), {name: (file,) for name, file in masks.items()})
