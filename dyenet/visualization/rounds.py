"""The picture of VS-ReID's rounds (its slides): which frame was retrieved, and which masks that overwrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyenet.files import atomic_path
from dyenet.inference.checkpointed import Round

COLOURS = ("#8c8c8c", "#e6550d", "#3182bd", "#31a354", "#756bb1", "#d6a000", "#17a2a2", "#c51b7d")
"""Of the starting points in their order; the first, grey, is a given mask."""
KEPT = 0.35
"""Opacity of a mask that a round left as it was."""


def owners(
    rounds: Sequence[Round], object_id: int, num_frames: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """One row per round of the object, the first being the first pass; one column per frame.

    Returns (R, N) int: which of the object's starting points made the mask that stands after the round, counted
    in their order, -1 where no pass has been; and (R, N) bool: written in this round.
    """
    starts = [r for r in rounds if r.object_id == object_id]
    owner = np.full(num_frames, -1, np.int64)
    rows: list[NDArray[np.int64]] = []
    written: list[NDArray[np.bool_]] = []
    for index, start in enumerate(starts):
        frames = [
            f
            for f in (start.frame, *start.overwritten)
            if start.number or start.checkpoints[f] == start.frame
        ]
        owner[frames] = index
        fresh = np.zeros(num_frames, bool)
        fresh[frames] = True
        if start.number == 0 and rows:  # several given masks are one first pass
            rows[0], written[0] = owner.copy(), written[0] | fresh
        else:
            rows.append(owner.copy())
            written.append(fresh)
    return np.array(rows), np.array(written)


def draw_rounds(rounds: Sequence[Round], num_frames: int, path: str | Path) -> None:
    """Writes a PNG, atomically: per object a table of frames x rounds.

    A cell's colour is that of the starting point from which its mask was made: full where the round wrote it,
    pale where it left it as it was, white where no pass has been. A diamond marks a given mask, a star the
    retrieved one, with its similarity at the right. Raises ValueError if there are no rounds.
    """
    if not rounds:
        raise ValueError("there are no rounds to draw")
    object_ids = sorted({r.object_id for r in rounds})
    tables = [owners(rounds, object_id, num_frames) for object_id in object_ids]
    heights = [len(table) for table, _ in tables]
    width = min(16.0, 3.0 + max(4.0, 0.22 * num_frames))
    height = min(60.0, sum(0.24 * n + 0.75 for n in heights) + 0.3)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(
        len(object_ids), 1, squeeze=False, sharex=True, height_ratios=[n + 1 for n in heights]
    )
    for object_id, (owner, written), axis in zip(object_ids, tables, axes[:, 0], strict=True):
        _draw_object(axis, [r for r in rounds if r.object_id == object_id], owner, written)
    axes[-1, 0].set_xlabel("frame")
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _draw_object(axis, starts: list[Round], owner: NDArray[np.int64], written: NDArray[np.bool_]) -> None:
    colours = np.array([_rgb(COLOURS[0]), *(_rgb(c) for c in COLOURS[1:])])
    index = np.where(owner == 0, 0, (owner - 1) % (len(COLOURS) - 1) + 1)
    picture = colours[index]  # (R, N, 3)
    picture = np.where(written[..., None], picture, 1 - KEPT * (1 - picture))
    picture[owner < 0] = 1
    axis.imshow(picture, aspect="auto", interpolation="nearest")
    given = [s for s in starts if s.number == 0]
    retrieved = [s for s in starts if s.number]
    axis.scatter([s.frame for s in given], [0] * len(given), marker="D", s=22, c="black")
    rows = range(1, len(retrieved) + 1)
    axis.scatter([s.frame for s in retrieved], rows, marker="*", s=60, c="black")
    axis.set_yticks(range(len(owner)), ["first pass", *(f"round {s.number}" for s in retrieved)])
    for row, start in zip(rows, retrieved, strict=True):
        axis.annotate(
            f"{start.similarity:.2f}",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set_xticks(np.arange(owner.shape[1] + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(owner) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="both", length=0, labelsize=8)
    axis.set_title(f"object {starts[0].object_id}", loc="left", fontsize=9)
    axis.spines[:].set_visible(False)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
