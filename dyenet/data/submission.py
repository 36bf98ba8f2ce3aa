"""A zip of predicted masks that the DAVIS evaluation server takes (for splits whose truth is not published)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.masks import PALETTE, IndexMask, read_labels
from dyenet.errors import InputError
from dyenet.files import atomic_path


def write_submission(predictions: Path | str, dataset: VideoDataset, path: Path | str) -> None:
    """Packs ``predictions/<sequence>/<frame>.png`` of every frame of ``dataset`` into a zip, whole or not at all.

    The zip holds ``<sequence>/<frame>.png`` as palette PNGs. Raises InputError that names what the server would
    refuse: a missing frame, another size than the first mask's, a label that the first mask does not have; and if
    the images, which say what frames there are, are not on the disk.
    """
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,  # PNGs are compressed already
    ):
        for sequence in dataset.sequences:
            for name, labels in _checked_masks(Path(predictions) / sequence, dataset, sequence):
                image = Image.fromarray(labels)
                image.putpalette(PALETTE.tobytes())
                buffer = io.BytesIO()
                image.save(buffer, format="PNG")
                archive.writestr(f"{sequence}/{name}.png", buffer.getvalue())


def _checked_masks(folder: Path, dataset: VideoDataset, sequence: str) -> Iterator[tuple[str, IndexMask]]:
    names = list(dataset.video(sequence).names)
    missing = [name for name in names if not (folder / f"{name}.png").is_file()]
    if missing:
        raise InputError(
            f"the result of {sequence} is not whole: {folder} lacks {len(missing)} of {len(names)} masks, the first "
            f"{missing[0]}.png"
        )
    size = dataset.read_mask(sequence, next(iter(dataset.annotations(sequence)))).shape
    known = set(dataset.instances(sequence))
    for name in names:
        file = folder / f"{name}.png"
        labels = read_labels(file)
        if labels.shape != size:
            raise InputError(
                f"the mask {file} is {labels.shape[1]}x{labels.shape[0]}, but those of {sequence} are "
                f"{size[1]}x{size[0]}"
            )
        extra = sorted({*object_ids(labels), *np.unique(labels[labels == 255]).tolist()} - known)
        if extra:
            raise InputError(
                f"the mask {file} has object {extra[0]}, which is not in the first mask of {sequence}"
            )
        yield name, labels
