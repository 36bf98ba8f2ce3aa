"""Single images for pre-training the trunk: plain ones, and PASCAL VOC and COCO with a class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image

from dyenet.data.clips import ClipDataset, augmented
from dyenet.data.clips_files import list_pictures, read_picture
from dyenet.errors import InputError
from dyenet.registry import DATASETS
from dyenet.structures import Clip


@DATASETS.register_module()
class PlainImages(ClipDataset):
    """Clips of one frame without truth, for distillation: the pictures below the folders ``roots``."""

    def __init__(self, *, roots: Sequence[str], **common: Any) -> None:
        super().__init__(**{"num_frames": 1, **common})
        self.images = [path for root in roots for path in list_pictures(root)]

    def draw(self, rng: Generator) -> Clip:
        path = self.images[int(rng.integers(len(self.images)))]
        frame = read_picture(path)
        frames, masks = augmented(self.augment, rng, frame[None], np.zeros((1, *frame.shape[:2]), np.uint8))
        return _single(frames, masks, path)


@DATASETS.register_module()
class SegmentationImages(ClipDataset):
    """Clips of one frame whose masks are class indices, 255 void.

    ``layout`` "voc": ``root/JPEGImages/*.jpg``, ``root/SegmentationClass/*.png`` (palette) and the stems in
    ``root/ImageSets/Segmentation/<split>.txt``. "coco": ``root/<split>/*.jpg`` and
    ``root/annotations/instances_<split>.json``, classes numbered in the order of their category ids.
    """

    def __init__(
        self, *, root: str, split: str = "train", layout: Literal["voc", "coco"] = "voc", **common: Any
    ) -> None:
        super().__init__(**{"num_frames": 1, **common})
        self.root, self.layout = Path(root), layout
        if layout == "voc":
            listing = self.root / "ImageSets" / "Segmentation" / f"{split}.txt"
        else:
            listing = self.root / "annotations" / f"instances_{split}.json"
        if not listing.is_file():
            raise InputError(f"no {layout} segmentation set: {listing} is missing; set the data set's root")
        if layout == "voc":
            stems = listing.read_text().split()
            folder = self.root / "JPEGImages"
            self.images = [folder / f"{stem}.jpg" for stem in stems]
            return
        from pycocotools.coco import COCO

        self.coco = COCO(str(listing))
        self.coco_ids = sorted(self.coco.getImgIds())
        self.classes = {c: i + 1 for i, c in enumerate(sorted(self.coco.getCatIds()))}
        self.images = [self.root / split / self.coco.loadImgs(i)[0]["file_name"] for i in self.coco_ids]

    def draw(self, rng: Generator) -> Clip:
        position = int(rng.integers(len(self.images)))
        path = self.images[position]
        frame = read_picture(path)
        label = self._voc(path) if self.layout == "voc" else self._coco(position, frame.shape[:2])
        if label.shape != frame.shape[:2]:
            raise InputError(f"{path} and its labels differ in size")
        frames, masks = augmented(self.augment, rng, frame[None], label[None])
        return _single(frames, masks, path)

    def _voc(self, path: Path) -> np.ndarray:
        label = self.root / "SegmentationClass" / f"{path.stem}.png"
        try:
            with Image.open(label) as image:
                return np.array(image, np.uint8)
        except OSError as error:
            raise InputError(f"cannot read {label} ({error})") from error

    def _coco(self, position: int, size: tuple[int, ...]) -> np.ndarray:
        label = np.zeros(size[:2], np.uint8)
        for annotation in self.coco.loadAnns(self.coco.getAnnIds(imgIds=self.coco_ids[position])):
            inside = self.coco.annToMask(annotation) > 0
            label[inside] = 255 if annotation.get("iscrowd") else self.classes[annotation["category_id"]]
        return label


def _single(frames: np.ndarray, masks: np.ndarray, path: Path) -> Clip:
    return Clip(
        frames=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))),
        masks=torch.from_numpy(masks),
        flow=torch.zeros(0, 2, *masks.shape[1:], dtype=torch.float16),
        identities=[],
        sources=[str(path)],
    )
