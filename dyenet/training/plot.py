"""The curves of a training as a picture, from what it logged."""

from __future__ import annotations

import json
from pathlib import Path

from dyenet.errors import InputError
from dyenet.files import atomic_path


def read_log(work_dir: str | Path) -> list[dict[str, float]]:
    """One dict of scalars per logged iteration (``step`` says which), in order, of all runs in ``work_dir``.

    Where a resumed run logged an iteration again, the later value counts. Raises InputError if there is no log.
    """
    rows: dict[int, dict[str, float]] = {}
    files = sorted(Path(work_dir).glob("*/vis_data/scalars.json"))
    if not files:
        raise InputError(f"{work_dir} holds no log of a training (*/vis_data/scalars.json)")
    for path in files:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows.setdefault(row["step"], {}).update(row)
    return [rows[step] for step in sorted(rows)]


def plot_training(work_dir: str | Path, picture: str | Path) -> None:
    """Writes a PNG or PDF: every loss over the iterations on the left, the validation J, if any, on the right."""
    from matplotlib.figure import Figure

    rows = read_log(work_dir)
    names = sorted({name for row in rows for name in row if name.startswith("loss")})
    scored = [row for row in rows if "val/J" in row]
    figure = Figure(figsize=(10 if scored else 6, 4), layout="constrained")
    panels = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row]
        panels[0].plot(*zip(*points, strict=True), label=name, linewidth=1)
    panels[0].set(xlabel="iteration", ylabel="loss", yscale="log")
    panels[0].legend(fontsize="small")
    if scored:
        panels[1].plot([r["step"] for r in scored], [r["val/J"] for r in scored], marker="o")
        panels[1].set(xlabel="iteration", ylabel="validation J")
    with atomic_path(picture) as part:
        figure.savefig(part, dpi=120, format=Path(picture).suffix.removeprefix(".") or "png")
