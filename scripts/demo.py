"""The whole program on a clip whose truth is known: synthesize, segment, score. ``make demo`` runs it.

python scripts/demo.py --out demo
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from dyenet.cli.evaluate import evaluate
from dyenet.cli.segment import Schedule, segment
from dyenet.cli.synthesize import FRAMES, MASKS, NAME, synthesize
from dyenet.data.masks import PALETTE, read_index_mask
from dyenet.data.video_io import read_frame
from dyenet.visualization.overlay import contact_sheet, overlay


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--seed", type=int, default=3, help="another seed is another clip")
    parser.add_argument("--model", default="small")
    parser.add_argument("--schedule", type=Schedule, default=Schedule.ITERATIVE, choices=list(Schedule))
    options = parser.parse_args()
    start = time.perf_counter()
    clip, result = options.out / "clip", options.out / "result"

    say(f"dyenet synthesize {clip} --frames {options.frames} --seed {options.seed} --overwrite")
    synthesize(clip, frames=options.frames, seed=options.seed, overwrite=True)

    first = clip / MASKS / "00000.png"
    say(f"dyenet segment {clip / FRAMES} --masks {first} --out {result} --overwrite")
    segment(
        clip / FRAMES,
        masks=first,
        out=result,
        model=options.model,
        schedule=options.schedule,
        overwrite=True,
    )

    predictions, scores = options.out / "predictions", options.out / "scores.json"
    shutil.rmtree(predictions, ignore_errors=True)
    shutil.copytree(result / "masks", predictions / NAME)
    say(f"dyenet evaluate --dataset synthetic --root {clip} --pred {predictions} --json {scores}")
    evaluate(dataset="synthetic", root=clip, split="val", pred=predictions, json=scores)

    print_scores(json.loads(scores.read_text())["objects"])
    save_picture(clip, result / "masks", options.out / "picture.png")
    print(
        f"\nMasks, overlay.mp4 and run.json are in {result}; {options.out / 'picture.png'} shows six frames."
    )
    print(f"Total time: {time.perf_counter() - start:.0f} s")


def say(command: str) -> None:
    print(f"\n$ {command}", flush=True)


def print_scores(objects: dict) -> None:
    """J, F and G of every object against the exact truth, in percent."""
    table = Table("object", "J", "F", "G", title="Against the clip's exact masks, in %")
    for name, score in sorted(objects.items()):
        j, f = score["J"]["mean"], score["F"]["mean"]
        table.add_row(name.rpartition("/")[2], *(f"{100 * value:.1f}" for value in (j, f, (j + f) / 2)))
    Console().print(table)


def save_picture(clip: Path, masks: Path, path: Path, *, width: int = 320) -> None:
    """Six frames over the whole clip with their masks in colour, ``width`` pixels wide each; the first is given."""
    names = sorted(file.stem for file in masks.glob("*.png"))
    drawn = []
    for position in np.linspace(0, len(names) - 1, 6):
        name = names[round(position)]
        labels = read_index_mask(masks / f"{name}.png")
        picture = Image.fromarray(overlay(read_frame(clip / FRAMES / f"{name}.jpg"), labels, PALETTE))
        picture.thumbnail((width, width))
        drawn.append(np.asarray(picture))
    Image.fromarray(contact_sheet(drawn, 3)).quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
