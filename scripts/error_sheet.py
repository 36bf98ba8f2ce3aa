"""Where masks are right and wrong, as one picture: a row per sequence, frames evenly spread over it.

    python scripts/error_sheet.py --dataset davis2016 --root DAVIS --split devval --pred DIR/masks errors.png

White is right, red was put out and is not there, blue was missed, any object; the frame's J is above it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dyenet.data.dataset import object_ids
from dyenet.data.masks import IndexMask, read_index_mask
from dyenet.data.readers import open_dataset
from dyenet.errors import DyeNetError
from dyenet.evaluation.measures import region_similarity

TILE, LABEL, GAP = (142, 80), 14, 4
RIGHT, EXTRA, MISSED, BACKGROUND = (235, 235, 235), (214, 69, 65), (65, 105, 225), (40, 40, 40)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--pred", type=Path, required=True, help="the folder with a folder of masks per sequence"
    )
    parser.add_argument("--frames", type=int, default=6, help="frames of each sequence")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    try:
        draw_sheet(options)
    except DyeNetError as error:
        sys.exit(str(error))


def draw_sheet(options: argparse.Namespace) -> None:
    videos = open_dataset(options.dataset, options.root, options.split)
    width, height = TILE[0] + GAP, TILE[1] + LABEL + GAP
    sheet = Image.new(
        "RGB", (options.frames * width + GAP, len(videos.sequences) * height + GAP), (255, 255, 255)
    )
    draw = ImageDraw.Draw(sheet)
    for row, sequence in enumerate(videos.sequences):
        names = list(videos.annotations(sequence))[1:]
        for column, position in enumerate(np.linspace(0, len(names) - 1, options.frames).round().astype(int)):
            name = names[position]
            truth = videos.read_mask(sequence, name)
            found = read_index_mask(options.pred / sequence / f"{name}.png")
            left, top = column * width + GAP, row * height + GAP
            title = f"{sequence if column == 0 else ''} {int(name)}: J {100 * mean_j(found, truth):.0f}"
            draw.text((left, top), title.strip(), fill=(0, 0, 0))
            sheet.paste(
                Image.fromarray(errors(found, truth)).resize(TILE, Image.Resampling.BILINEAR),
                (left, top + LABEL),
            )
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.picture, optimize=True)


def errors(found: IndexMask, truth: IndexMask) -> np.ndarray:
    """(H, W, 3) uint8: where two index masks agree and differ."""
    truth = np.where(truth == 255, 0, truth)
    picture = np.full((*truth.shape, 3), BACKGROUND, np.uint8)
    picture[(truth > 0) & (found != truth)] = MISSED
    picture[(found > 0) & (found != truth)] = EXTRA
    picture[(found > 0) & (found == truth)] = RIGHT
    return picture


def mean_j(found: IndexMask, truth: IndexMask) -> float:
    """J, the mean over the truth's objects; 1 where there are none."""
    ids = object_ids(truth)
    return float(np.mean([region_similarity(found == i, truth == i) for i in ids])) if ids else 1.0


if __name__ == "__main__":
    main()
