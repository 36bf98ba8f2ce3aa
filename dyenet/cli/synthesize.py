"""``dyenet synthesize``: a clip with exact masks, to try the program on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synthesize(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write; it must not exist or be empty.")
    ],
    frames: Annotated[int, typer.Option(min=1, help="Length of the clip.")] = 48,
    objects: Annotated[int, typer.Option(min=1, max=32, help="How many objects are annotated.")] = 3,
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Width and height of a frame in pixels.")
    ] = "480x270",
    seed: Annotated[int, typer.Option(help="The same seed gives the same clip.")] = 0,
) -> None:
    """Make a synthetic clip: frames/, the exact masks of every frame in masks/, and first.png for --masks."""
    raise NotImplementedError
