"""How well embeddings tell the objects of a video apart, given their true boxes.

    python scripts/reid_accuracy.py small --dataset davis2017 --root DAVIS --split val

Every fifth frame's objects, given their true boxes, are compared with those of the first frame, whose masks are known,
as they are to the program. Printed: how often an object is most similar to itself, how often a similarity to itself is
higher than one to another (of any video), and both kinds of similarity (10th, 50th and 90th percentile). With
--set inference.retrieval.embedding=network, the Re-ID network's.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

import numpy as np
import torch

from dyenet.data.dataset import VideoDataset, object_ids
from dyenet.data.masks import IndexMask
from dyenet.data.readers import open_dataset
from dyenet.errors import DyeNetError
from dyenet.inference.adapters import build_adapters
from dyenet.inference.loading import Model, load_model
from dyenet.inference.protocols import Retriever
from dyenet.inference.session import resized
from dyenet.inference.stopwatch import Stopwatch
from dyenet.structures import MaskPatches, mask_boxes

STEP = 5
MIN_PIXELS = 150


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="small, r50, r101 or a .safetensors file")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--set", action="append", default=[], help="change a config key", metavar="KEY=VALUE")
    options = parser.parse_args()
    try:
        model = load_model(options.model, overrides=options.set)
        report(model, open_dataset(options.dataset, options.root, options.split))
    except DyeNetError as error:
        sys.exit(str(error))


def report(model: Model, videos: VideoDataset) -> None:
    own: list[float] = []
    others: list[float] = []
    right = 0
    for sequence in videos.sequences:
        video, names = videos.video(sequence), videos.frame_names(sequence)
        working = resized(video, model.inference.max_size)
        scale = working.size[1] / video.size[1]
        with closing(build_adapters(model, working, model.inference, Stopwatch())) as adapters:
            first, *later = (
                embeddings(
                    adapters.retriever,
                    frame,
                    videos.read_mask(sequence, names[frame]),
                    scale,
                    adapters.mask_size if frame == 0 else None,
                )
                for frame in range(0, len(names), STEP)
            )
        for found in later if len(first) > 1 else []:
            for object_id in found.keys() & first.keys():
                similarity = {k: float(found[object_id] @ template) for k, template in first.items()}
                right += max(similarity, key=lambda k: similarity[k]) == object_id
                own.append(similarity.pop(object_id))
                others += similarity.values()
    if not own:
        sys.exit("no video shows two objects of enough pixels in its first frame")
    print(f"most similar to itself: {100 * right / len(own):.1f} % of {len(own)}")
    higher = (np.asarray(own)[:, None] > np.asarray(others)).mean()
    print(f"a similarity to itself above one to another: {100 * higher:.1f} %")
    for name, values in (("to itself", own), ("to the others", others)):
        low, middle, high = np.percentile(values, [10, 50, 90])
        print(f"similarity {name}: {middle:.2f} ({low:.2f} to {high:.2f})")


def embeddings(
    retriever: Retriever, frame: int, mask: IndexMask, scale: float, mask_size: int | None
) -> dict[int, torch.Tensor]:
    """Object id -> embedding (D,) of its true box, of the objects with ``MIN_PIXELS`` or more; ``scale``: working size
    over the mask's. With ``mask_size`` the embeddings are given the masks, of that many cells a side.
    """
    ids = [k for k in object_ids(mask) if np.count_nonzero(mask == k) >= MIN_PIXELS]
    if not ids:
        return {}
    masks = torch.stack([torch.from_numpy(mask == k) for k in ids])
    boxes = mask_boxes(masks)
    known = None
    if mask_size is not None:
        known = MaskPatches(boxes * scale, MaskPatches.from_maps(masks, boxes, mask_size).probabilities)
    return dict(zip(ids, retriever.embed(frame, boxes * scale, known), strict=True))


if __name__ == "__main__":
    main()
