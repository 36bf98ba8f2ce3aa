"""The papers' tables and Fig. 6 as experiments: one config per cell, the paper's number beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dyenet.data.dataset import VideoDataset
from dyenet.data.readers import open_dataset
from dyenet.errors import ConfigError, InputError, WeightsError
from dyenet.evaluation.attributes import CATEGORIES, attributes_of, categorise
from dyenet.evaluation.benchmarking import BenchmarkResult, has_truth, run
from dyenet.evaluation.plots import plot_attributes, plot_sequence
from dyenet.evaluation.published import (
    JFG,
    RETRIEVAL,
    TABLE1,
    TABLE2,
    TABLE3,
    TABLE5,
    VSREID_TABLE1,
    PublishedTable,
)
from dyenet.evaluation.tables import Comparison, Row
from dyenet.files import atomic_path

ABLATIONS = "ablations"
"""The folder of the cells' configs among the shipped configs."""


@dataclass(frozen=True)
class Experiment:
    """``cells``: row of the paper's table -> config of the cell. ``numbers`` makes a row of ours, in percent."""

    title: str
    columns: tuple[str, ...]
    cells: Mapping[str, str]
    published: PublishedTable | None
    numbers: Callable[[BenchmarkResult], dict[str, float | None]]


def _jfg(result: BenchmarkResult) -> dict[str, float | None]:
    assert result.scores is not None
    total = result.scores.total
    return {"J": 100 * total.j.mean, "F": 100 * total.f.mean, "G": 100 * total.g}


def _retrieval(result: BenchmarkResult) -> dict[str, float | None]:
    """Of the last round of each video."""
    last = max((len(r["starting_points"]) for r in result.records.values()), default=1)
    counts = result.retrieval(max(1, last))
    percent = {"precision": counts.precision, "recall": counts.recall}
    return {**{k: None if v is None else 100 * v for k, v in percent.items()}, "G": _jfg(result)["G"]}


STAGES = {
    "MSK (ResNet-101)": "msk",
    "Re-MP, no attention": "remp_no_attention",
    "Re-MP, full": "remp",
    "+ Re-ID": "dyenet",
}
ONLINE = {
    "DyeNet, offline": "offline",
    "DyeNet, per-dataset": "online_per_dataset",
    "DyeNet, per-video": "online_per_video",
}
EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment("Re-MP", JFG, {k: v for k, v in STAGES.items() if k != "+ Re-ID"}, TABLE1, _jfg),
    "table2": Experiment(
        "Re-ID: similarity threshold and rounds",
        RETRIEVAL,
        {
            f"rho 0.{rho}, round {row}": f"table2_rho{rho}_round{number}"
            for rho in (9, 8, 7, 6)
            for number, row in ((1, "1"), (2, "2"), (3, "3+"))
        },
        TABLE2,
        _retrieval,
    ),
    "table3": Experiment("Each module", JFG, {**STAGES, "offline only": "offline"}, TABLE3, _jfg),
    "table5": Experiment("Training modalities", JFG, ONLINE, TABLE5, _jfg),
    "fig6": Experiment("Stages by attribute", JFG, STAGES, None, _jfg),
    "vsreid-table1": Experiment(
        "VS-ReID, module by module",
        JFG,
        {
            "baseline (full image)": "vsreid_baseline",
            "+ bounding box": "vsreid_box",
            "+ flow stream": "vsreid_flow",
            "+ re-id module": "vsreid_reid",
            "+ multi-scale testing": "vsreid_multiscale",
        },
        VSREID_TABLE1,
        _jfg,
    ),
}
TABLE5_COLUMNS = {
    "davis2016": "DAVIS 2016",
    "segtrackv2": "SegTrack v2",
    "youtube-objects": "YouTube-Objects",
}
"""Data set -> its column in Table 5, which holds J alone."""


def experiment(
    name: str,
    *,
    dataset: str,
    root: Path | str,
    split: str,
    out: Path | str,
    device: str = "auto",
    dtype: str = "auto",
    overrides: Sequence[str] = (),
) -> Comparison | None:
    """Runs the cells of an experiment and prints the paper's numbers beside ours; ``<name>.md``, ``.tex``, ``.json``
    and plots go to ``out``, and the cells to ``out/cells``, where other experiments find them again.

    ``overrides`` hold for every cell, or for one where they begin with the name of its config, such as
    ``remp_no_attention.weights=FILE``. A cell whose model is not there is not run, and the table says why. Raises
    InputError if there is no such experiment, if no cell can be run, or if the data set has no truth. Under
    torchrun the processes share the videos of each cell; all but process 0 return None.
    """
    if name not in EXPERIMENTS:
        raise InputError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    chosen, out = EXPERIMENTS[name], Path(out)
    videos = open_dataset(dataset, root, split)
    if not has_truth(videos):
        raise InputError(f"{dataset} {split} has no truth beyond its first frames; take another split")
    results: dict[str, BenchmarkResult] = {}
    failures: dict[str, str] = {}
    finished_elsewhere = False
    for row, config in chosen.cells.items():
        try:
            result = run(
                f"{ABLATIONS}/{config}.py",
                dataset=dataset,
                root=root,
                split=split,
                out=out / "cells" / config,
                device=device,
                dtype=dtype,
                overrides=overrides_of(config, overrides),
            )
        except (
            ConfigError,
            WeightsError,
        ) as error:  # the same on every process, unlike a video that cannot be read
            failures[row] = str(error)
            continue
        if result is None:
            finished_elsewhere = True
        else:
            results[row] = result
    if finished_elsewhere:
        return None
    if not results:
        raise InputError(f"no cell of {name} could be run; the first: {next(iter(failures.values()))}")
    comparison = compare(chosen, results, failures, dataset=dataset, split=split)
    if name == "fig6":
        comparison = by_attribute(results, videos, comparison.notes, out / "fig6.png")
    _plot_sequences(results, videos, out / "plots")
    _save(comparison, out / name)
    Console().print(comparison.to_markdown(), markup=False, highlight=False, soft_wrap=True)
    return comparison


def overrides_of(config: str, overrides: Sequence[str]) -> list[str]:
    """Those that hold for the cell ``config``; those that begin with its own name lose it and come last."""
    cells = {c for e in EXPERIMENTS.values() for c in e.cells.values()}
    general = [o for o in overrides if o.partition(".")[0] not in cells]
    own = [o.partition(".")[2] for o in overrides if o.partition(".")[0] == config]
    return general + own


def compare(
    chosen: Experiment,
    results: Mapping[str, BenchmarkResult],
    failures: Mapping[str, str],
    *,
    dataset: str,
    split: str,
) -> Comparison:
    """The table of an experiment, with what ours was measured on below it."""
    columns, numbers = chosen.columns, {row: chosen.numbers(result) for row, result in results.items()}
    paper = dict(chosen.published.rows) if chosen.published else {}
    if chosen.published is TABLE5:
        columns = ("J",)
        column = TABLE5_COLUMNS.get(dataset)
        paper = {row: {"J": values[column]} for row, values in paper.items() if column and column in values}
    names = [*(row for row in paper if row not in chosen.cells), *chosen.cells]  # others' methods first
    weights = {row: result.weights for row, result in results.items()}
    if len(set(weights.values())) == 1:
        used = f"weights {next(iter(weights.values()))}"
    else:
        used = "; ".join(f"{row}: weights {file}" for row, file in weights.items())
    objects = next(iter(results.values())).scores
    assert objects is not None
    notes = [
        f"Ours: {dataset} {split}, {len(objects.sequences)} videos, {len(objects.objects)} objects; {used}.",
        *(f"Not run: {row}. {reason}" for row, reason in failures.items()),
    ]
    if chosen.published:
        notes.insert(0, f"Paper: {chosen.published.data}.")
    return Comparison(
        chosen.title,
        chosen.published.source if chosen.published else "",
        columns,
        [Row(row, paper.get(row), numbers.get(row)) for row in names],
        notes,
    )


def by_attribute(
    results: Mapping[str, BenchmarkResult], videos: VideoDataset, notes: Sequence[str], plot: Path
) -> Comparison:
    """Fig. 6: G of every stage over the objects of each category, as a table and as bars in ``plot``."""
    attributes = {(s, k): a for s in videos.sequences for k, a in attributes_of(videos, s).items()}
    stages = {}
    for stage, result in results.items():
        assert result.scores is not None
        scores = {key: o.score.g for key, o in result.scores.objects.items() if key in attributes}
        stages[stage] = categorise(scores, attributes)
    plot_attributes(plot, stages)
    rows = []
    for attribute, categories in CATEGORIES.items():
        for category in categories:
            found = {stage: means[attribute][category] for stage, means in stages.items()}
            number = next(iter(found.values()))[1]
            values = {stage: None if g is None else 100 * g for stage, (g, _) in found.items()}
            rows.append(Row(f"{attribute}: {category} ({number})", None, values))
    rules = (
        "Attributes follow from the true masks by the rules in docs/evaluation.md; in brackets the objects."
    )
    source = "G; DyeNet, Fig. 6, which prints no numbers"
    return Comparison("Stages by attribute", source, tuple(stages), rows, [*notes, rules])


def _plot_sequences(results: Mapping[str, BenchmarkResult], videos: VideoDataset, folder: Path) -> None:
    """``<folder>/<row>/<sequence>.png``: J over the frames, with the starting points of the last round."""
    for row, result in results.items():
        assert result.scores is not None
        for sequence in result.scores.sequences:
            objects = {k: o for (s, k), o in result.scores.objects.items() if s == sequence}
            rounds = result.records[sequence]["starting_points"]
            path = folder / row.replace(" ", "_") / f"{sequence}.png"
            points = rounds[-1] if rounds else []
            plot_sequence(path, f"{sequence}: {row}", videos.frame_names(sequence), objects, points)


def _save(comparison: Comparison, path: Path) -> None:
    rows = {row.name: {"paper": row.paper, "ours": row.ours} for row in comparison.rows}
    about = {"title": comparison.title, "source": comparison.source, "rows": rows, "notes": comparison.notes}
    texts = {
        ".md": comparison.to_markdown(),
        ".tex": comparison.to_latex(),
        ".json": json.dumps(about, indent=1) + "\n",
    }
    for suffix, text in texts.items():
        with atomic_path(path.with_name(path.name + suffix)) as temporary:
            temporary.write_text(text)
