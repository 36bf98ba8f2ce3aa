"""Predicted masks against a data set's annotations; no image is read."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from rich.console import Console

from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.masks import VOID, IndexMask, read_labels
from dyenet.data.readers import open_dataset
from dyenet.errors import InputError
from dyenet.evaluation.measures import frame_measures
from dyenet.evaluation.protocols import Protocol, protocol_of
from dyenet.evaluation.result import EvaluationResult, ObjectFrames

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What is scored in one sequence: ``frames`` by name, and for each object the first of them that counts.

    ``known``: the labels that a prediction may hold; None allows any.
    """

    frames: Sequence[str]
    objects: Mapping[int, int]
    known: frozenset[int] | None


def evaluate(
    *,
    dataset: str,
    root: Path | str,
    split: str,
    predictions: Path | str,
    json: Path | str | None = None,
    csv: Path | str | None = None,
) -> EvaluationResult:
    """Scores ``<predictions>/<sequence>/<frame>.png``, prints the table, and writes what is asked for.

    Raises InputError as ``score`` does.
    """
    result = score(open_dataset(dataset, root, split), predictions)
    console = Console()
    console.print(result.table())
    if result.about_returns:
        console.print(result.about_returns)
    frames = sum(len(values.names) for values in result.objects.values())
    console.print(f"{len(result.objects)} objects, {frames} masks scored in {result.seconds:.1f} s")
    if json is not None:
        result.write_json(json)
    if csv is not None:
        result.to_csv(csv)
    return result


def score(
    dataset: VideoDataset,
    predictions: Path | str,
    *,
    sequences: Sequence[str] | None = None,
    workers: int | None = None,
) -> EvaluationResult:
    """J and F of every object in every scored frame, on ``workers`` processes (by default one per core).

    An object that is missing from a prediction has an empty mask there. Predictions of frames that are not scored
    are not looked at. Raises InputError that names the first
    sequence or frame that is missing, the file that has another size than its truth, or that holds a label which
    is no object of its sequence; and if there is nothing to score.
    """
    start = time.perf_counter()
    predictions = Path(predictions)
    sequences = dataset.sequences if sequences is None else sequences
    _require_folders(predictions, sequences)
    scored = _in_processes(
        partial(_score_sequence, dataset, predictions), sequences, min(workers or _cores(), len(sequences))
    )
    objects = {
        (s, k): frames for s, found in zip(sequences, scored, strict=True) for k, frames in found.items()
    }
    if not objects:
        raise InputError(
            f"nothing can be scored in {dataset.name} {dataset.split} at {dataset.root}: no object is annotated in "
            "more frames than the protocol leaves out (docs/evaluation.md)"
        )
    return EvaluationResult(
        dataset.name, dataset.split, protocol_of(dataset.name), objects, time.perf_counter() - start
    )


def plan(dataset: VideoDataset, sequence: str, protocol: Protocol) -> Plan:
    """The scored frames and objects of a sequence; objects with no scored frame are left out."""
    names = list(dataset.annotations(sequence))
    stop = len(names) - 1 if protocol.drop_last else len(names)
    if protocol.late_objects:
        frames, order = names[1:stop], dataset.frame_names(sequence)
        position = {name: i for i, name in enumerate(frames)}
        known: set[int] = set()
        starts: dict[int, int] = {}
        for given, mask in dataset.first_masks(sequence).items():
            later = [position[name] for name in order[given + 1 :] if name in position]
            known |= set(object_ids(mask))
            starts.update((object_id, later[0]) for object_id in object_ids(mask) if later)
        return Plan(frames, dict(sorted(starts.items())), frozenset(known))
    given, ids = 0, object_ids(dataset.read_mask(sequence, names[0])) if names else []
    while not ids and given + 1 < len(names):
        given += 1
        ids = object_ids(dataset.read_mask(sequence, names[given]))
    if protocol.all_ids:
        ids = list(range(1, max(ids, default=0) + 1))
    frames = names[given + 1 : stop]
    return Plan(frames, dict.fromkeys(ids if frames else (), 0), None if protocol.binary else frozenset(ids))


def _score_sequence(dataset: VideoDataset, predictions: Path, sequence: str) -> dict[int, ObjectFrames]:
    """J and F of the objects of one sequence."""
    protocol = protocol_of(dataset.name)
    planned = plan(dataset, sequence, protocol)
    if not planned.objects:
        return {}
    paths = [prediction_path(predictions, sequence, frame) for frame in planned.frames]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"the predicted mask of a frame is missing: there is no {missing}")
    values = np.empty((len(paths), len(planned.objects), 3))
    for row, (frame, path) in enumerate(zip(planned.frames, paths, strict=True)):
        truth = dataset.read_mask(sequence, frame)
        found = read_prediction(path, truth.shape, known=planned.known)
        if protocol.binary:
            found = (found > 0).astype(np.uint8)
        values[row] = [(*frame_measures(found == k, truth == k), (truth == k).any()) for k in planned.objects]
    return {
        object_id: ObjectFrames(
            tuple(planned.frames[first:]),
            j=values[first:, column, 0],
            f=values[first:, column, 1],
            visible=values[first:, column, 2] > 0,
        )
        for column, (object_id, first) in enumerate(planned.objects.items())
    }


def _in_processes(function: Callable[[str], T], items: Sequence[str], workers: int) -> list[T]:
    """``function`` of every item, in their order; threads would not do, for decoding a PNG keeps Python locked."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(
        1
    )  # the items are what runs side by side, and OpenCV's own threads do not survive a fork
    try:
        if workers <= 1:
            return [function(item) for item in items]
        # A forked process need not import anything; on systems that cannot fork safely it has to.
        context = get_context("fork" if sys.platform == "linux" else "spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(pool.map(function, items))
    finally:
        cv2.setNumThreads(threads)


def prediction_path(predictions: Path, sequence: str, frame: str) -> Path:
    """``<predictions>/<sequence>/<frame>.png``."""
    return predictions / sequence / f"{frame}.png"


def read_prediction(path: Path, size: Sequence[int], *, known: Iterable[int] | None) -> IndexMask:
    """(H, W) uint8 labels of ``size``, all of them ``known`` (None allows any); InputError that names the file."""
    labels = read_labels(path)
    if labels.shape != tuple(size):
        raise InputError(
            f"the predicted mask {path} is {labels.shape[1]}x{labels.shape[0]}, but its truth is "
            f"{size[1]}x{size[0]}; save masks at the size of the annotations"
        )
    if known is None:
        return labels
    for label in object_ids(labels) + [VOID] * bool((labels == VOID).any()):
        if label not in known:
            raise InputError(
                f"the predicted mask {path} holds label {label}, which is no object of its sequence (those are "
                f"{', '.join(map(str, sorted(known)))}); 0 is the background, and there is no void in a prediction"
            )
    return labels


def _require_folders(predictions: Path, sequences: Sequence[str]) -> None:
    if not predictions.is_dir():
        raise InputError(f"there is no folder of predictions at {predictions}")
    for sequence in sequences:
        if not (predictions / sequence).is_dir():
            raise InputError(
                f"the prediction of sequence {sequence} is missing: there is no folder {predictions / sequence}"
            )


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
