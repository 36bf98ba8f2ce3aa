"""``dyenet segment``: a video and the masks of its objects in; a mask of every object in every frame out."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyenet import __version__
from dyenet.cli.common import (
    Device,
    Dtype,
    Overrides,
    StageBars,
    stage_bars,
    write_json,
)
from dyenet.errors import InputError

if TYPE_CHECKING:
    from dyenet.data.masks import IndexMask
    from dyenet.inference.loading import Model
    from dyenet.inference.result import SegmentationResult
    from dyenet.structures import Video


TUNED = "online.safetensors"
WRITTEN = ("run.json", "overlay.mp4", "rounds.png", TUNED)
"""Beside masks/, what a run may write."""


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
        Schedule | None,
        typer.Option(
            help="DyeNet's rounds (iterative) or VS-ReID's (checkpointed).", show_default="the model's own"
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    max_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            metavar="PIXELS",
            help="Work on frames of at most this longer side; masks still come out at full size.",
            show_default="the model's own; small: 640, and up to twice that for small objects",
        ),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Fine-tune a copy of the model on the given masks first.")
    ] = False,
    online_iterations: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --online: how long.")
    ] = 100,
    set_: Overrides = None,
    overlay: Annotated[bool, typer.Option(help="Also write overlay.mp4.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in DIR.")] = False,
) -> None:
    """Segment the objects of a video from their masks in one frame (or in several).

    Writes DIR/masks/<frame>.png (palette PNGs, the ids of MASKS), DIR/overlay.mp4 and DIR/run.json; with
    --schedule checkpointed also DIR/rounds.png, a picture of its rounds; with --online also the tuned network,
    DIR/online.safetensors.
    """
    check_output(out, [video, masks, Path(model)], overwrite=overwrite)
    from dyenet.data.masks import read_given_masks
    from dyenet.data.video_io import open_video
    from dyenet.files import atomic_path
    from dyenet.inference.loading import load_model
    from dyenet.inference.session import VideoSession

    start = time.perf_counter()
    frames = open_video(video)
    given = read_given_masks(masks, frames)
    settings = [f"inference.schedule={schedule}"] if schedule is not None else []
    if max_size is not None:
        settings += [f"inference.max_size={max_size}", "inference.max_zoom=1.0"]
    settings += set_ or []
    loaded = load_model(model, device=device, dtype=dtype, overrides=settings, fuse=not online)
    tuned = tune(loaded, frames, given, online_iterations) if online else None
    if tuned is not None:
        loaded, tuned_weights = tuned
    with stage_bars() as bars, VideoSession(loaded, frames, progress=bars) as session:
        for frame, mask in given.items():
            session.add_masks(frame, mask)
        result = session.run()
        clear_result(out)
        if tuned is not None:
            loaded.weights["file"] = str(out / TUNED)
            with atomic_path(out / TUNED) as part:
                part.write_bytes(tuned_weights)
        write_frames(result, frames, out, bars, overlay=overlay)
    if result.checkpointed_rounds:
        from dyenet.visualization.rounds import draw_rounds

        draw_rounds(result.checkpointed_rounds, len(frames), out / "rounds.png")
    report = run_report(loaded, frames, result, video=video, masks=masks, seconds=time.perf_counter() - start)
    write_json(out / "run.json", report)  # the last file: a folder that has it is whole
    print(summary(report, out))


def tune(model: Model, frames: Video, given: dict[int, IndexMask], iterations: int) -> tuple[Model, bytes]:
    """A copy of ``model`` tuned on the given masks, and its weights file."""
    from dyenet.training.finetune import finetune_on_masks

    pairs = [(frames[index], mask) for index, mask in sorted(given.items())]
    with tempfile.TemporaryDirectory(prefix="dyenet_online_") as scratch:
        tuned = finetune_on_masks(model, pairs, iterations=iterations, work_dir=scratch)
        tuned.weights["frames"] = [frames.names[index] for index in sorted(given)]
        return tuned, (Path(scratch) / "final.safetensors").read_bytes()


def check_output(out: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Raises InputError unless a result may be written to ``out`` (which may not exist yet)."""
    from dyenet.data.output import require_empty

    require_empty(out, overwrite=overwrite)
    for path in inputs:
        if path.resolve().is_relative_to((out / "masks").resolve()):
            raise InputError(
                f"{path} lies in {out / 'masks'}, which this run would write over; give another --out"
            )
        if path.resolve() in [(out / name).resolve() for name in WRITTEN]:
            raise InputError(f"{path} would be replaced by this run; give another --out")


def clear_result(out: Path) -> None:
    """Removes what an earlier run wrote into ``out``, and nothing else; ``run.json`` first."""
    for old in [*(out / name for name in WRITTEN), *sorted((out / "masks").glob("*.png"))]:
        old.unlink(missing_ok=True)
    (out / "masks").mkdir(parents=True, exist_ok=True)


def write_frames(
    result: SegmentationResult, frames: Video, out: Path, bars: StageBars, *, overlay: bool
) -> None:
    """Writes masks/*.png one whole frame after the other, and overlay.mp4 under its name once it is whole."""
    from dyenet.data import masks as mask_files

    def labels() -> Iterator[tuple[int, IndexMask]]:
        for index, name in enumerate(frames.names):
            bars("write", index, len(frames))
            label = result.labels(index)
            mask_files.write_index_mask(out / "masks" / f"{name}.png", label)
            yield index, label
        bars("write", len(frames), len(frames))

    if overlay:
        from dyenet.data.video_io import write_video
        from dyenet.visualization.overlay import overlay as draw

        overlays = (draw(frames[index], label, mask_files.PALETTE) for index, label in labels())
        write_video(out / "overlay.mp4", overlays, fps=frames.fps)
    else:
        for _ in labels():
            pass


def run_report(
    model: Model, frames: Video, result: SegmentationResult, *, video: Path, masks: Path, seconds: float
) -> dict[str, Any]:
    """What ``run.json`` holds: input, model, every setting, versions, seconds, and how each object was found."""
    from dyenet.inference.stopwatch import peak_memory_mb

    height, width = frames.size
    report = dict(result.report)
    return {
        "video": str(video),
        "masks": str(masks),
        "frames": len(frames),
        "size": [width, height],
        "working_size": [result.working_size[1], result.working_size[0]],
        "objects": sorted(result.tubes),
        "model": {
            "name": model.name,
            "weights": model.weights,
            "device": str(model.device),
            "dtype": str(model.dtype).removeprefix("torch."),
        },
        "config": {key: model.config[key].to_dict() for key in ("model", "inference") if key in model.config},
        "versions": {
            "python": platform.python_version(),
            "dyenet": __version__,
            **{name: version(name) for name in ("torch", "torchvision", "opencv-python", "av")},
        },
        "seconds": {"total": round(seconds, 3), **{k: round(v, 3) for k, v in report.pop("seconds").items()}},
        "peak_memory_mb": peak_memory_mb(),
        **report,
    }


def summary(report: dict[str, Any], out: Path) -> str:
    """One line for the user."""
    frames, total = report["frames"], report["seconds"]["total"]
    objects = len(report["objects"])
    return (
        f"{objects} object{'s' * (objects != 1)} in {frames} frames, {total:.1f} s "
        f"({total / frames:.2f} s per frame): {out}"
    )
