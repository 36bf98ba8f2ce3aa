"""COCO's instances as images with index masks, which ``ImageClips`` and ``CompositeClips`` read.

    python scripts/coco_masks.py COCO/annotations/instances_train2017.json COCO/train2017 OUT

writes OUT/masks/*.png (instance 1, 2, ...; small ones over large ones; crowds are 255, void) and makes OUT/images a
link to the folder of images. A picture with more than 254 instances keeps the largest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from dyenet.data.masks import write_index_mask

MOST = 254


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("instances", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for path in (options.instances, options.images):
        if not path.exists():
            sys.exit(f"{path} is missing")
    print(f"{write_masks(options.instances, options.images, options.out)} masks in {options.out / 'masks'}")


def write_masks(instances: Path, images: Path, out: Path) -> int:
    """Writes the masks of all pictures that have any, and the link; returns how many."""
    from pycocotools.coco import COCO

    coco = COCO(str(instances))
    (out / "masks").mkdir(parents=True, exist_ok=True)
    if not (out / "images").exists():
        (out / "images").symlink_to(images.resolve(), target_is_directory=True)
    written = 0
    for image in coco.loadImgs(sorted(coco.getImgIds())):
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        if not found:
            continue
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for crowd in (a for a in found if a.get("iscrowd")):
            mask[coco.annToMask(crowd) > 0] = 255
        things = sorted((a for a in found if not a.get("iscrowd")), key=lambda a: -a["area"])[:MOST]
        for number, thing in enumerate(things, start=1):
            mask[coco.annToMask(thing) > 0] = number
        write_index_mask(out / "masks" / f"{Path(image['file_name']).stem}.png", mask)
        written += 1
    return written


if __name__ == "__main__":
    main()
