"""``dyenet synthesize``: a clip with exact masks, to try the program on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyenet.cli.common import parse_size

NAME = "synthetic"
FRAMES = Path("JPEGImages", "480p", NAME)
MASKS = Path("Annotations", "480p", NAME)


def synthesize(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.", show_default=False)],
    frames: Annotated[int, typer.Option(min=40, help="Length of the clip.")] = 48,
    objects: Annotated[int, typer.Option(min=1, max=20, help="How many objects are annotated.")] = 3,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height in pixels.")] = "480x270",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clip.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Make a synthetic clip with the exact mask of every frame, in which an object is hidden and comes back.

    Writes a DAVIS 2017 tree: DIR/JPEGImages/480p/synthetic/*.jpg and DIR/Annotations/480p/synthetic/*.png.
    """
    from dyenet.data.output import require_empty
    from dyenet.data.synthetic import demo_clip, save_clip

    require_empty(out, overwrite=overwrite)
    clip = demo_clip(seed, num_frames=frames, size=parse_size(size), num_objects=objects)
    for old in [*(out / FRAMES).glob("*.jpg"), *(out / MASKS).glob("*.png")]:
        old.unlink()
    save_clip(clip, out, NAME)
    print(f"{len(clip)} frames in {out / FRAMES}, their masks in {out / MASKS}")
