"""Multi-object videos with exact masks, an occlusion and a return, made of single-object sequences.

    python scripts/make_composites.py --root DAVIS --split train --out composites --clips 10

writes a DAVIS 2017 tree (split ``val``) with the sequences composite-00, composite-01, ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dyenet.data.clips_files import find_videos, save_sequence
from dyenet.data.compositing import compose_video


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="DAVIS 2016 tree")
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="854x480", metavar="WxH")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    videos = find_videos(options.root, options.split)
    for index in range(options.clips):
        rng = np.random.default_rng([options.seed, index, 99])
        clip = compose_video(
            options.seed * 1000 + index,
            videos,
            num_frames=int(rng.integers(40, 71)),
            num_objects=2 + index % 3,
            size=(height, width),
            event="leave" if index % 2 else "hide",
        )
        name = f"composite-{index:02d}"
        save_sequence(options.out, name, clip.frames, clip.masks)
        print(f"{name}: {len(clip.frames)} frames, objects from {', '.join(clip.sequences)}", flush=True)


if __name__ == "__main__":
    main()
