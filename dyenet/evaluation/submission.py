"""A zip for the evaluation servers of DAVIS test-dev and test-challenge, checked before it is sent."""

from __future__ import annotations

import zipfile
from pathlib import Path

from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.output import atomic_path
from dyenet.errors import InputError
from dyenet.evaluation.scoring import prediction_path, read_prediction


def zip_results(dataset: VideoDataset, predictions: Path | str, out: Path | str) -> Path:
    """Packs ``<sequence>/<frame>.png`` of every frame of the data set into ``out``.

    Raises InputError that names the first mask that is missing, of another size than the annotated first frame,
    or that holds a label the first frame lacks.
    """
    predictions, out = Path(predictions), Path(out)
    files = []
    for sequence in dataset.sequences:
        first = dataset.read_mask(sequence, next(iter(dataset.annotations(sequence))))
        known = object_ids(first)
        for name in dataset.frame_names(sequence):
            path = prediction_path(predictions, sequence, name)
            if not path.is_file():
                raise InputError(f"the predicted mask of a frame is missing: there is no {path}")
            read_prediction(path, first.shape, known=known)
            files.append((path, f"{sequence}/{name}.png"))
    with (
        atomic_path(out) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):  # PNG is compressed already
        for path, name in files:
            archive.write(path, name)
    return out
