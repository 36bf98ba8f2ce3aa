"""Inference over a data set, on several processes by whole videos, resumable; then its scores."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dyenet.config import values_sha256
from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.masks import write_index_mask
from dyenet.data.readers import open_dataset
from dyenet.data.submission import write_submission
from dyenet.evaluation.models import ModelSource
from dyenet.evaluation.result import EvaluationResult
from dyenet.evaluation.retrieval import JudgedPoint, RetrievalCounts, count, judge
from dyenet.evaluation.scoring import score
from dyenet.files import atomic_path
from dyenet.inference.loading import Model
from dyenet.inference.session import VideoSession
from dyenet.inference.stopwatch import peak_memory_mb


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """``weights`` that were run; ``scores``, None where the data set has no truth; ``records`` by sequence.

    A record has ``frames``, ``seconds`` (reading, segmenting, merging and writing), ``peak_memory_mb``,
    ``starting_points`` by round with their IoU, ``true_masks`` that could be retrieved, and the run's ``report``.
    """

    weights: str
    scores: EvaluationResult | None
    records: Mapping[str, Mapping[str, Any]]

    @property
    def seconds_per_frame(self) -> float:
        frames = sum(r["frames"] for r in self.records.values())
        return sum(r["seconds"] for r in self.records.values()) / frames

    @property
    def peak_memory_mb(self) -> float:
        return max(r["peak_memory_mb"] for r in self.records.values())

    def retrieval(self, round_number: int) -> RetrievalCounts:
        """Over all videos, of the starting points of a round, from 1; of the last one where there were fewer."""
        total = RetrievalCounts()
        for record in self.records.values():
            rounds = record["starting_points"]
            points = rounds[min(round_number, len(rounds)) - 1] if rounds else []
            truths = [(object_id, frame) for object_id, frame in record["true_masks"]]
            total += count([JudgedPoint(**p) for p in points], truths)
        return total

    def to_json(self) -> dict[str, Any]:
        """The figures of the data set and one row per sequence."""
        rounds = max((len(r["starting_points"]) for r in self.records.values()), default=0)
        counts = [self.retrieval(number) for number in range(1, rounds + 1)]
        return {
            "global": None if self.scores is None else self.scores.total.to_dict(),
            "seconds_per_frame": self.seconds_per_frame,
            "peak_memory_mb": self.peak_memory_mb,
            "starting_points": [
                {"round": n, "precision": c.precision, "recall": c.recall, "found": c.found}
                for n, c in enumerate(counts, start=1)
            ],
            "sequences": {
                name: {
                    "J": None if self.scores is None else self.scores.sequences[name].j.mean,
                    "F": None if self.scores is None else self.scores.sequences[name].f.mean,
                    "G": None if self.scores is None else self.scores.sequences[name].g,
                    "frames": record["frames"],
                    "seconds_per_frame": record["seconds"] / record["frames"],
                    "peak_memory_mb": record["peak_memory_mb"],
                }
                for name, record in self.records.items()
                if self.scores is None or name in self.scores.sequences
            },
        }

    def table(self, title: str) -> Table:
        """One row per sequence: J, F, G in percent, seconds per frame, peak memory."""
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("sequence", no_wrap=True)
        for name in ("J", "F", "G", "frames", "s/frame", "MiB"):
            table.add_column(name, justify="right")
        about = self.to_json()
        for name, row in about["sequences"].items():
            figures = [f"{row['seconds_per_frame']:.3f}", f"{row['peak_memory_mb']:.0f}"]
            table.add_row(name, *_percent(row["J"], row["F"], row["G"]), str(row["frames"]), *figures)
        table.add_section()
        total = self.scores.total if self.scores else None
        values = (total.j.mean, total.f.mean, total.g) if total else (None, None, None)
        frames = sum(r["frames"] for r in self.records.values())
        figures = [f"{self.seconds_per_frame:.3f}", f"{self.peak_memory_mb:.0f}"]
        table.add_row("all", *_percent(*values), str(frames), *figures)
        return table


def benchmark(config: str, **options: Any) -> BenchmarkResult | None:
    """``run``, and prints its table: one row per sequence."""
    result = run(config, **options)
    if result is not None:
        Console().print(result.table(f"{config} on {options['dataset']} {options['split']}"))
        if result.scores and result.scores.about_returns:
            Console().print(result.scores.about_returns)
        if result.scores is None:
            print(f"no truth to score against; for the server: {Path(options['out']) / 'submission.zip'}")
    return result


def run(
    config: str,
    *,
    dataset: str,
    root: Path | str,
    split: str,
    out: Path | str,
    device: str = "auto",
    dtype: str = "auto",
    overrides: Sequence[str] = (),
    rank: int | None = None,
    world_size: int | None = None,
) -> BenchmarkResult | None:
    """Runs a model (see ``ModelSource``) over a data set and scores it, into the folder ``out``.

    ``masks/<sequence>/<frame>.png``; ``runs/<sequence>.json``, written when the sequence is whole; then
    ``benchmark.json``, ``scores.json`` and ``scores.csv``, or ``submission.zip`` for the server where there is no
    truth. A sequence whose file in ``runs`` is of the same model, settings and data set is not run again.

    ``rank`` and ``world_size`` are by default those that torchrun sets; each process takes every ``world_size``-th
    video, the long ones first, and process 0 waits for all and scores. The others return None.
    """
    rank = int(os.environ.get("RANK", 0)) if rank is None else rank
    world_size = int(os.environ.get("WORLD_SIZE", 1)) if world_size is None else world_size
    if world_size > 1 and device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', rank)) % torch.cuda.device_count()}"
    videos, out = open_dataset(dataset, root, split), Path(out)
    source = ModelSource(config, overrides, device=device, dtype=dtype)
    console = Console(stderr=True)
    mine = sorted(videos.sequences, key=lambda s: -len(videos.frame_names(s)))[rank::world_size]
    keys = {s: run_key(source.model(s), videos, s) for s in (videos.sequences if rank == 0 else mine)}
    for number, sequence in enumerate(mine, start=1):
        model, key = source.model(sequence), keys[sequence]
        record = finished(out, videos, sequence, key)
        before = " (done before)" if record else ""
        record = record or run_sequence(model, videos, sequence, out, key)
        speed = record["seconds"] / record["frames"]
        console.print(f"{Path(config).stem} {number}/{len(mine)} {sequence}: {speed:.3f} s per frame{before}")
    if rank != 0:
        return None
    records = {s: _wait_for(out, videos, s, keys[s]) for s in videos.sequences}
    scores = score(videos, out / "masks") if has_truth(videos) else None
    result = BenchmarkResult(source.description(), scores, records)
    about = {"config": config, "weights": result.weights, "dataset": dataset, "split": split}
    _write(out / "benchmark.json", {**about, "device": device, **result.to_json()})
    if scores is None:
        write_submission(out / "masks", videos, out / "submission.zip")
    else:
        scores.write_json(out / "scores.json")
        scores.to_csv(out / "scores.csv")
    return result


def has_truth(dataset: VideoDataset) -> bool:
    """Whether any frame is annotated beyond those whose masks a run is given."""
    return any(len(dataset.annotations(s)) > max(1, len(dataset.first_masks(s))) for s in dataset.sequences)


def run_key(model: Model, dataset: VideoDataset, sequence: str) -> str:
    """A hash of all that decides a result: weights, model, settings, number format, data set and given masks."""
    given = hashlib.sha256()
    for frame, mask in sorted(dataset.first_masks(sequence).items()):
        given.update(f"{frame} {mask.shape}".encode() + mask.tobytes())
    about = {
        "weights": model.weights.get("sha256"),
        "model": model.config.model,
        "inference": dataclasses.asdict(model.inference),
        "dtype": str(model.dtype),
        "dataset": [dataset.name, dataset.split],
        "given": given.hexdigest(),
    }
    return values_sha256(about)


def finished(out: Path, dataset: VideoDataset, sequence: str, key: str) -> dict[str, Any] | None:
    """The record of a sequence that was run whole under ``key``; None if it was not."""
    path = out / "runs" / f"{sequence}.json"
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    masks = {p.stem for p in (out / "masks" / sequence).glob("*.png")}
    whole = record.get("key") == key and masks.issuperset(dataset.frame_names(sequence))
    return record if whole else None


def run_sequence(model: Model, dataset: VideoDataset, sequence: str, out: Path, key: str) -> dict[str, Any]:
    """Segments one video and writes its masks and its record, each whole or not at all; returns the record."""
    done_file, folder = out / "runs" / f"{sequence}.json", out / "masks" / sequence
    done_file.unlink(missing_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    video, given = dataset.video(sequence), dataset.first_masks(sequence)
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    start = time.perf_counter()
    try:
        with VideoSession(model, video) as session:
            for frame, mask in given.items():
                session.add_masks(frame, mask)
            result = session.run()
            for frame, name in enumerate(video.names):
                write_index_mask(temporary / f"{name}.png", result.labels(frame))
        seconds = time.perf_counter() - start
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    truths = _truths(dataset, sequence)
    rounds = [judge(points, truths.get, result.working_size) for points in result.starting_points]
    shown = {(int(i), frame) for frame, mask in given.items() for i in object_ids(mask)}
    wanted = {(i, frame) for frame, mask in truths.items() for i in object_ids(mask)} - shown
    objects = {object_id for object_id, _ in shown}
    record = {
        "key": key,
        "frames": len(video),
        "seconds": seconds,
        "peak_memory_mb": _peak_memory_mb(model.device),
        "starting_points": [[dataclasses.asdict(p) for p in points] for points in rounds],
        "true_masks": sorted(pair for pair in wanted if pair[0] in objects),
        "report": result.report,
    }
    _write(done_file, record)
    return record


def _truths(dataset: VideoDataset, sequence: str) -> dict[int, Any]:
    """Frame index -> true index mask, of the annotated frames."""
    index = {name: i for i, name in enumerate(dataset.frame_names(sequence))}
    return {index[name]: dataset.read_mask(sequence, name) for name in dataset.annotations(sequence)}


def _wait_for(out: Path, dataset: VideoDataset, sequence: str, key: str) -> dict[str, Any]:
    """The record of a sequence, once another process has finished it; torchrun ends us if that process fails."""
    while (record := finished(out, dataset, sequence, key)) is None:
        time.sleep(1)
    return record


def _peak_memory_mb(device: torch.device) -> float:
    """On a GPU the most memory that the sequence took; on a CPU the most that the process has held so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory_mb() or 0.0  # Windows does not say


def _write(path: Path, value: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def _percent(*values: float | None) -> list[str]:
    return ["-" if value is None else f"{100 * value:.1f}" for value in values]
