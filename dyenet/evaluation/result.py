"""The result of an evaluation: per frame, object, sequence and data set; as JSON, CSV and a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dyenet.evaluation.measures import Statistics, statistics
from dyenet.evaluation.protocols import Protocol, Unit
from dyenet.files import atomic_path

FOUND = 0.5  # the mean J from which an object counts as found again


@dataclass(frozen=True)
class Score:
    """J and F of an object, or their averages over objects."""

    j: Statistics
    f: Statistics

    @property
    def g(self) -> float:
        """The mean of J and F."""
        return (self.j.mean + self.f.mean) / 2

    def to_dict(self) -> dict[str, Any]:
        """``{"J": {"mean", "recall", "decay"}, "F": {...}, "G": x}``."""
        return {"J": vars(self.j).copy(), "F": vars(self.f).copy(), "G": self.g}

    @staticmethod
    def mean(scores: Sequence[Score]) -> Score:
        """The average of every number of at least one score."""
        return Score(
            *(
                Statistics(*np.mean([[s.mean, s.recall, s.decay] for s in column], axis=0).tolist())
                for column in ([s.j for s in scores], [s.f for s in scores])
            )
        )


@dataclass(frozen=True)
class ObjectFrames:
    """One object: the names of its scored frames; J and F in each, (n,) float64, n >= 1; whether it shows there."""

    names: tuple[str, ...]
    j: NDArray[np.float64]
    f: NDArray[np.float64]
    visible: NDArray[np.bool_]

    @cached_property
    def score(self) -> Score:
        return Score(statistics(self.j), statistics(self.f))

    @property
    def returns(self) -> list[float]:
        """The mean J from each frame in which the object shows again until it is gone once more, or the end."""
        starts = np.flatnonzero(self.visible[1:] & ~self.visible[:-1]) + 1
        ends = [start + np.argmin(np.append(self.visible[start:], False)) for start in starts]
        return [float(self.j[start:end].mean()) for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class EvaluationResult:
    """``objects`` by (sequence, object id); ``seconds`` is what the evaluation took, reading the masks included."""

    dataset: str
    split: str
    protocol: Protocol
    objects: Mapping[tuple[str, int], ObjectFrames]
    seconds: float

    @cached_property
    def sequences(self) -> dict[str, Score]:
        """The mean over the objects of each sequence."""
        return _means({key: values.score for key, values in self.objects.items()}, lambda key: key[0])

    @cached_property
    def total(self) -> Score:
        """The data set's score, averaged as its protocol says."""
        return self.average(self.protocol.headline)

    def average(self, unit: Unit) -> Score:
        """The mean over ``unit``; the class of a sequence is what stands before its first ``/``."""
        if unit == "objects":
            return Score.mean([values.score for values in self.objects.values()])
        if unit == "sequences":
            return Score.mean(list(self.sequences.values()))
        return Score.mean(list(self.classes.values()))

    @property
    def classes(self) -> dict[str, Score]:
        """The mean over the sequences of each class."""
        return _means(self.sequences, lambda name: name.partition("/")[0])

    @property
    def returns(self) -> tuple[int, int]:
        """How many returns of objects that were out of sight are found, with a mean J above 0.5, and of how many."""
        values = [j for frames in self.objects.values() for j in frames.returns]
        return sum(j > FOUND for j in values), len(values)

    def to_json(self) -> dict[str, Any]:
        """Global, sequences and objects (by ``sequence/id``); returns and further averages where there are any.

        An object's ``per_frame`` values are in the order of its ``frames``, the names of the scored ones.
        """
        objects = {}
        for (sequence, object_id), values in self.objects.items():
            about = values.score.to_dict()
            about["J"]["per_frame"], about["F"]["per_frame"] = values.j.tolist(), values.f.tolist()
            objects[f"{sequence}/{object_id}"] = {**about, "frames": list(values.names)}
        out = {
            "global": self.total.to_dict(),
            "sequences": {name: score.to_dict() for name, score in self.sequences.items()},
            "objects": objects,
        }
        found, number = self.returns
        if number:
            out["returns"] = {"found": found, "of": number}
        others = self.protocol.other_averages
        if others:
            out["averages"] = {unit: self.average(unit).to_dict() for unit in others}
        if "classes" in others:
            out["classes"] = {name: score.to_dict() for name, score in self.classes.items()}
        return out

    def write_json(self, path: Path | str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1) + "\n")

    def to_csv(self, path: Path | str) -> None:
        """One row per object, then one per sequence, then the global one (``sequence`` "global")."""
        rows: list[tuple[str, str, Score]] = [(s, str(i), o.score) for (s, i), o in self.objects.items()]
        rows += [(name, "mean", score) for name, score in self.sequences.items()]
        rows += [(f"mean over {unit}", "", self.average(unit)) for unit in self.protocol.other_averages]
        rows.append(("global", "", self.total))
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sequence", "object", *_COLUMNS])
            for sequence, name, score in rows:
                writer.writerow([sequence, name, *(f"{value:.6f}" for value in _numbers(score))])

    def table(self) -> Table:
        """One row per sequence and one per average, in percent."""
        table = Table(title=f"{self.dataset} {self.split}", title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("sequence", no_wrap=True)
        for name in _COLUMNS:
            table.add_column(name, justify="right")
        for name, score in self.sequences.items():
            table.add_row(name, *_percent(score))
        table.add_section()
        for unit in (*self.protocol.other_averages, self.protocol.headline):
            table.add_row(f"mean over {unit}", *_percent(self.average(unit)))
        return table

    @property
    def about_returns(self) -> str | None:
        """A line on the returns, if there are any."""
        found, number = self.returns
        return f"{found} of {number} returns of hidden objects found (mean J > {FOUND})" if number else None


_COLUMNS = ("J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "G")


def _numbers(score: Score) -> list[float]:
    return [*vars(score.j).values(), *vars(score.f).values(), score.g]


def _percent(score: Score) -> list[str]:
    return [f"{100 * value:.1f}" for value in _numbers(score)]


def _means(scores: Mapping[Any, Score], group_of: Any) -> dict[str, Score]:
    groups: dict[str, list[Score]] = {}
    for key, score in scores.items():
        groups.setdefault(group_of(key), []).append(score)
    return {name: Score.mean(members) for name, members in groups.items()}
