"""Clips of ImageNet VID, whose objects have boxes and no masks: for re-identification and detection (VS-ReID)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dyenet.data.clips import ClipDataset, augmented, make_clip, random_times
from dyenet.data.clips_files import read_picture
from dyenet.data.imagenet_vid import ImageNetVid
from dyenet.registry import DATASETS
from dyenet.structures import Clip


@DATASETS.register_module()
class BoxClips(ClipDataset):
    """Clips of ``num_frames`` frames of one snippet, 1..``max_step`` apart; the mask of an object is its whole box.

    Small boxes lie over large ones, and hide a part of them. For stages that look at boxes alone: the detector and
    the Identification Net. Flow is zero.

    Identities: the objects in the first frame of every snippet; those that come later have none (-1).
    """

    def __init__(self, *, root: str, split: str = "train", max_step: int = 10, **common: Any) -> None:
        super().__init__(**common)
        self.videos = ImageNetVid(root, split)
        self.max_step = max_step
        self.numbers: dict[tuple[str, int], int] = {}
        for sequence in self.videos.sequences:
            first = self.videos.boxes(sequence, self.videos.frame_names(sequence)[0])
            for identity in first.identities:
                self.numbers.setdefault(identity, len(self.numbers))
        self.identity_names = [f"{root} {sequence} {track}" for sequence, track in self.numbers]

    def draw(self, rng: Generator) -> Clip:
        sequence = self.videos.sequences[int(rng.integers(len(self.videos.sequences)))]
        images = self.videos.images(sequence)
        names = [n for n in self.videos.frame_names(sequence) if n in images]
        chosen = [names[i] for i in random_times(rng, len(names), self.num_frames, self.max_step)]
        frames = np.stack([read_picture(images[name]) for name in chosen])
        found = [self.videos.boxes(sequence, name) for name in chosen]
        tracks = list(dict.fromkeys(identity for boxes in found for identity in boxes.identities))[:254]
        ids = {identity: k for k, identity in enumerate(tracks, start=1)}
        masks = np.zeros(frames.shape[:3], np.uint8)
        for mask, boxes in zip(masks, found, strict=True):
            fill_boxes(mask, boxes.boxes, [ids.get(i, 0) for i in boxes.identities])
        frames, masks = augmented(self.augment, rng, frames, masks)
        flow = np.zeros((len(frames) - 1, 2, *masks.shape[1:]), np.float32)
        identities = [self.numbers.get(identity, -1) for identity in tracks]
        return make_clip(frames, masks, flow, identities, [str(images[name]) for name in chosen])


def fill_boxes(mask: NDArray[np.uint8], boxes: NDArray[np.float32], ids: list[int]) -> None:
    """Writes ``ids[k]`` into ``mask`` (H, W) wherever ``boxes[k]`` (xyxy, pixels) is, the largest box first."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    for k in np.argsort(-sizes.prod(axis=1), kind="stable"):
        x0, y0, x1, y1 = np.maximum(boxes[k].round().astype(int), 0)
        mask[y0:y1, x0:x1] = ids[k]
