"""The whole program on a clip whose truth is known: synthesize, segment, score. ``make demo`` runs it.

    python scripts/demo.py --out demo
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from dyenet.cli.segment import Schedule, segment
from dyenet.cli.synthesize import synthesize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0, help="another seed is another clip")
    parser.add_argument("--model", default="small")
    parser.add_argument("--schedule", type=Schedule, default=Schedule.ITERATIVE, choices=list(Schedule))
    options = parser.parse_args()
    start = time.perf_counter()
    clip, result = options.out / "clip", options.out / "result"

    say(f"dyenet synthesize {clip} --frames {options.frames} --seed {options.seed} --overwrite")
    synthesize(clip, frames=options.frames, seed=options.seed, overwrite=True)

    say(f"dyenet segment {clip}/frames --masks {clip}/first.png --out {result} --overwrite")
    segment(
        clip / "frames",
        masks=clip / "first.png",
        out=result,
        model=options.model,
        schedule=options.schedule,
        overwrite=True,
    )

    score(clip / "masks", result / "masks")
    save_picture(clip / "frames", result / "masks", options.out / "picture.png")
    print(f"\nMasks, overlay.mp4 and run.json are in {result}, a picture of six frames is {options.out}/picture.png.")
    print(f"Total time: {time.perf_counter() - start:.0f} s")


def say(command: str) -> None:
    print(f"\n$ {command}", flush=True)


if __name__ == "__main__":
    main()
