"""``dyenet train`` and ``dyenet finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyenet.cli.common import Overrides


def train(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A config file, or the name of a shipped one.")
    ],
    work_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where checkpoints and curves go.  [default: work_dirs/CONFIG]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint in the folder.")
    ] = False,
    set_: Overrides = None,
    launcher: Annotated[
        str, typer.Option(help="none, pytorch (also seen by itself under torchrun) or slurm.")
    ] = "none",
) -> None:
    """Train any model of the project, as a config file says.

    On several processes: torchrun --nproc-per-node N -m dyenet train CONFIG
    """
    from dyenet.training.runner import train as run

    folder = run(
        config,
        work_dir=work_dir,
        resume=resume,
        overrides=set_ or [],
        launcher=launcher,  # type: ignore[arg-type]
    )
    print(f"trained weights: {folder / 'final.safetensors'}")


def finetune(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A config file, or the name of a shipped one.")
    ],
    scope: Annotated[
        str, typer.Option(help="dataset: one model for all first frames; video: one for each.")
    ] = "dataset",
    work_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the tuned weights go.")] = None,
    set_: Overrides = None,
) -> None:
    """Fine-tune a trained model on first-frame masks only (online training); its weights are never overwritten."""
    from dyenet.training.finetune import finetune as run

    folder = run(config, scope=scope, work_dir=work_dir, overrides=set_ or [])  # type: ignore[arg-type]
    print(f"tuned weights: {folder}")
