"""``dyenet evaluate``, ``dyenet benchmark`` and ``dyenet experiment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyenet.cli.common import Device, Dtype, Overrides

Dataset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="davis2016, davis2017, segtrackv2, youtube-objects, synthetic, ... (docs/datasets.md)",
        show_default=False,
    ),
]
Root = Annotated[Path, typer.Option(metavar="DIR", help="Where the data set lies.", show_default=False)]
Split = Annotated[str, typer.Option(metavar="NAME", help="Which part of it, such as train or val.")]


def evaluate(
    dataset: Dataset,
    root: Root,
    pred: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Predicted masks: <sequence>/<frame>.png, palette or grey.",
            show_default=False,
        ),
    ],
    split: Split = "val",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write all numbers as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write one row per object.")] = None,
) -> None:
    """Score predicted masks: J, F and G as the data set defines them. Needs its annotations, not its images."""
    from dyenet.evaluation import evaluate as run

    run(dataset=dataset, root=root, split=split, predictions=pred, json=json, csv=csv)


def benchmark(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="A config file, or the name of a shipped one.", show_default=False
        ),
    ],
    dataset: Dataset,
    root: Root,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where masks and scores go; a stopped run continues there.")
    ],
    split: Split = "val",
    device: Device = "auto",
    dtype: Dtype = "auto",
    set_: Overrides = None,
) -> None:
    """Run a model over a data set and score it: J, F, G, seconds per frame, memory, one row per sequence.

    On several processes, which share the videos: torchrun --nproc-per-node N -m dyenet benchmark ...
    """
    from dyenet.evaluation import benchmark as run

    run(
        config,
        dataset=dataset,
        root=root,
        split=split,
        out=out,
        device=device,
        dtype=dtype,
        overrides=set_ or [],
    )


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="table1, table2, table3, table5, fig6, vsreid-table1.", show_default=False
        ),
    ],
    dataset: Dataset,
    root: Root,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where tables, plots and masks go.")],
    split: Split = "val",
    device: Device = "auto",
    dtype: Dtype = "auto",
    set_: Overrides = None,
) -> None:
    """Run one of the papers' tables or figures, and print the paper's numbers beside ours."""
    from dyenet.evaluation import experiment as run

    run(
        name,
        dataset=dataset,
        root=root,
        split=split,
        out=out,
        device=device,
        dtype=dtype,
        overrides=set_ or [],
    )
