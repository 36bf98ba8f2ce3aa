"""Plots: J over the frames of a sequence with its starting points, and the bars of Fig. 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dyenet.evaluation.result import ObjectFrames
from dyenet.files import atomic_path

Means = Mapping[str, Mapping[str, tuple[float | None, int]]]
"""Attribute -> category -> (mean score in [0, 1], number of objects); see ``attributes.categorise``."""


def plot_sequence(
    path: Path | str,
    title: str,
    frame_names: Sequence[str],
    objects: Mapping[int, ObjectFrames],
    starting_points: Sequence[Mapping[str, Any]] = (),
) -> None:
    """J of every object over the frames, as a PNG; ``starting_points`` are a record's, with ``object_id`` and
    ``frame``: they stand at their J where their frame was scored, at 0 elsewhere.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    index = {name: i for i, name in enumerate(frame_names)}
    for position, (object_id, values) in enumerate(objects.items()):
        colour = f"C{position % 10}"
        at = dict(zip((index[name] for name in values.names), values.j, strict=True))
        axes.plot(list(at), list(at.values()), color=colour, label=f"object {object_id}")
        starts = sorted({p["frame"] for p in starting_points if p["object_id"] == object_id})
        if starts:
            heights = [at.get(frame, 0.0) for frame in starts]
            axes.plot(starts, heights, linestyle="none", marker="o", markersize=4, color=colour)
    axes.set(title=title, xlabel="frame (dots: starting points)", ylabel="J", ylim=(-0.02, 1.02))
    axes.legend(loc="lower left", fontsize="small", ncols=4)
    _save(figure, path)


def plot_attributes(path: Path | str, stages: Mapping[str, Means]) -> None:
    """One panel per attribute, one group of bars per category, one bar per stage (G in percent), as a PNG."""
    attributes = next(iter(stages.values()))
    figure = Figure(figsize=(3.2 * len(attributes), 3.4), layout="constrained")
    panels = figure.subplots(1, len(attributes), sharey=True, squeeze=False)[0]
    width = 0.8 / len(stages)
    for axes, (attribute, categories) in zip(panels, attributes.items(), strict=True):
        for offset, (stage, means) in enumerate(stages.items()):
            heights = [100 * (means[attribute][category][0] or 0.0) for category in categories]
            places = [i + (offset - (len(stages) - 1) / 2) * width for i in range(len(categories))]
            axes.bar(places, heights, width, label=stage)
        labels = [f"{category}\n({number})" for category, (_, number) in categories.items()]
        axes.set_xticks(range(len(categories)), labels)
        axes.set_title(attribute)
    panels[0].set_ylabel("G")
    panels[0].legend(fontsize="x-small")
    _save(figure, path)


def _save(figure: Figure, path: Path | str) -> None:
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
