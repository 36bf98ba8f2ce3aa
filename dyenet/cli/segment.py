"""``dyenet segment``: a video and the masks of its objects in; a mask of every object in every frame out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyenet.cli.common import Device, Dtype, Overrides, require_empty, stage_bars
from dyenet.errors import InputError

if TYPE_CHECKING:
    pass


class Schedule(StrEnum):
    """The order in which a video is worked through."""

    ITERATIVE = "iterative"
    CHECKPOINTED = "checkpointed"


def segment(
    video: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="A video file, or a folder of JPEG or PNG frames.", show_default=False
        ),
    ],
    masks: Annotated[
        Path,
        typer.Option(
            metavar="MASKS",
            help="The objects in one or more frames: an index or 0/255 PNG, or a folder of PNGs (docs/masks.md).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where masks/, overlay.mp4 and run.json go.", show_default=False),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="small, r50, r101, or a .safetensors file.")
    ] = "small",
    schedule: Annotated[
        Schedule, typer.Option(help="DyeNet's rounds (iterative) or VS-ReID's (checkpointed).")
    ] = Schedule.ITERATIVE,
    device: Device = "auto",
    dtype: Dtype = "auto",
    max_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            metavar="PIXELS",
            help="Work on frames shrunk to this longer side; masks still come out at full size.",
            show_default="full size",
        ),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="First fine-tune on the given masks: slower, usually better.")
    ] = False,
    set_: Overrides = None,
    overlay: Annotated[bool, typer.Option(help="Also write overlay.mp4.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in DIR.")] = False,
) -> None:
    """Segment the objects of a video from their masks in one frame (or in several).

    Writes DIR/masks/<frame>.png (palette PNGs, the ids of MASKS), DIR/overlay.mp4 and DIR/run.json.
    """
    check_output(out, masks, overwrite=overwrite)
    # The heavy imports wait until the cheap mistakes are ruled out.
    from dyenet.data.masks import read_given_masks
    from dyenet.data.video_io import open_video
    from dyenet.inference.loading import load_model
    from dyenet.inference.session import VideoSession

    frames = open_video(video, max_size=max_size)
    given = read_given_masks(masks, frames)
    overrides = [f"inference.schedule={schedule}", *(set_ or [])]
    loaded = load_model(model, device=device, dtype=dtype, overrides=overrides)
    with stage_bars() as bars:
        session = VideoSession(loaded, frames, progress=bars)
        for frame, mask in given.items():
            session.add_masks(frame, mask)
        result = session.run()
        write_result(result, frames, out, bars, overlay=overlay)


def check_output(out: Path, masks: Path, *, overwrite: bool) -> None:
    """Raises InputError unless a result may be written to ``out`` (which may not exist yet)."""
    require_empty(out, overwrite=overwrite)
    if masks.resolve().is_relative_to((out / "masks").resolve()):
        raise InputError(
            f"{masks} lies in {out / 'masks'}, which this run would write over; give another --out"
        )
