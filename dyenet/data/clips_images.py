"""Clips out of single annotated images (the papers' static images): deformed copies with the exact flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dyenet.data.clips import ClipDataset, Size, augmented, make_clip
from dyenet.data.clips_files import AnnotatedImage, find_images, find_videos, pick_ids, read_picture
from dyenet.data.compositing import (
    NO_SHAKE,
    CutOut,
    background_layers,
    cut_out_layer,
    draw_layers,
    extent_of,
    inpaint,
    scaling,
)
from dyenet.data.deform import deform_clip, random_motion
from dyenet.data.masks import VOID, IndexMask, read_labels
from dyenet.data.synthetic_layers import STILL, Layer, Path
from dyenet.data.synthetic_paths import Paths
from dyenet.data.synthetic_scene import random_bend
from dyenet.data.textures import Picture
from dyenet.errors import InputError
from dyenet.registry import DATASETS
from dyenet.structures import Clip

MARGIN = 1.15
"""How much larger than the clip the picture is before it moves, so that its rim seldom shows."""
VIRTUAL_FRAMES = 40
"""Paths are drawn for a video of this length, and a clip shows a stretch of it."""


@DATASETS.register_module()
class ImageClips(ClipDataset):
    """Clips of still images with masks: ``num_frames`` copies, each the one before deformed once more.

    In ``moved`` of them (a share) the objects are cut out, bent and moved on their own before the inpainted, moving
    background; in the others a smooth affine and thin-plate motion deforms the whole picture. ``roots``: folders
    with ``images/`` and ``masks/``, or DAVIS trees. ``estimated_flow``: the share of clips with DIS flow instead
    of the exact one. Identities: one per object of every image.
    """

    def __init__(
        self,
        *,
        roots: Sequence[str],
        max_objects: int = 4,
        moved: float = 0.5,
        estimated_flow: float = 0.5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        canvas = (round(self.size[0] * MARGIN), round(self.size[1] * MARGIN))
        self.crop = self.augmentation(canvas, common.get("augmentation") or {})
        self.max_objects, self.moved, self.estimated_flow = max_objects, moved, estimated_flow
        self.images = [i for root in roots for i in find_images(root, skip_corrupt=self.skip_corrupt)]
        self.offsets = np.cumsum([0, *(len(i.object_ids) for i in self.images)])
        self.identity_names = [n for i in self.images for n in i.identity_names()]

    def draw(self, rng: Generator) -> Clip:
        which = int(rng.integers(len(self.images)))
        image = self.images[which]
        picture, mask, chosen = read_image(image, rng, self.max_objects)
        return self.move(rng, picture, mask, [int(self.offsets[which]) + k for k in chosen], str(image.image))

    def move(
        self, rng: Generator, picture: Picture, mask: NDArray[np.uint8], identities: list[int], source: str
    ) -> Clip:
        """A clip of a picture whose ``mask`` has objects 1..K of the given identities."""
        cropped = augmented(self.crop, rng, picture[None], mask[None], photometry=False)
        picture, mask = cropped[0][0], cropped[1][0]
        if rng.random() < self.moved:
            layers = moved_layers(rng, picture, mask, len(identities), self.size, self.num_frames)
            frames, masks, flow = draw_layers(layers, self.num_frames, self.size)
        else:
            motion = random_motion(rng, self.num_frames, self.size, strength=rng.uniform(0.2, 1.2))
            frames, masks, flow = deform_clip(picture, mask, motion, self.size)
        frames, masks = augmented(self.augment, rng, frames, masks, geometry=False)
        estimated = rng.random() < self.estimated_flow
        return make_clip(frames, masks, None if estimated else flow, identities, [source])


@DATASETS.register_module()
class FirstFrameClips(ImageClips):
    """Clips for online fine-tuning: the first annotated frame of every sequence, and nothing else of it, deformed
    again and again (reading D25: no inpainting, no compositing).

    Either ``frames``, (picture, index mask) pairs in memory, or ``root`` and ``split`` of a DAVIS tree.
    Identities: one per object of every frame.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        split: str = "val",
        frames: Sequence[tuple[Picture, IndexMask]] = (),
        **options: Any,
    ) -> None:
        super().__init__(roots=(), moved=0.0, **options)
        self.frames, self.names = list(frames), [f"given frame {i}" for i in range(len(frames))]
        for video in find_videos(root, split) if root is not None else []:
            self.frames.append((read_picture(video.images[0]), video.mask(0)))
            self.names.append(str(video.images[0]))
        self.object_ids = [[i for i in np.unique(mask).tolist() if 0 < i < VOID] for _, mask in self.frames]
        if not any(self.object_ids):
            raise InputError("FirstFrameClips has no annotated frame with an object; give root or frames")
        self.offsets = np.cumsum([0, *(len(ids) for ids in self.object_ids)])
        self.identity_names = [
            f"{name} {k}" for name, ids in zip(self.names, self.object_ids, strict=True) for k in ids
        ]

    def draw(self, rng: Generator) -> Clip:
        which = int(rng.choice([i for i, ids in enumerate(self.object_ids) if ids]))
        (picture, mask), ids = self.frames[which], self.object_ids[which]
        identities = [int(self.offsets[which]) + k for k in range(len(ids))]
        return self.move(rng, picture, pick_ids(mask, ids), identities, self.names[which])


def read_image(
    image: AnnotatedImage, rng: Generator, max_objects: int
) -> tuple[Picture, NDArray[np.uint8], list[int]]:
    """The picture, the mask with the chosen objects as 1..K, and their positions among ``image.object_ids``.

    Objects that are not chosen are background: they look like objects, but nobody asked for them.
    """
    picture, mask = read_picture(image.image), read_labels(image.mask)
    if picture.shape[:2] != mask.shape:
        raise InputError(
            f"the mask {image.mask} has another size than its image {image.image}; make them equal"
        )
    count = min(len(image.object_ids), max_objects)
    chosen = sorted(rng.choice(len(image.object_ids), count, replace=False).tolist())
    return picture, pick_ids(mask, [image.object_ids[k] for k in chosen]), chosen


def span(rng: Generator, slowest: float, fastest: float, num_frames: int) -> tuple[float, float]:
    """(start, step), random: ``num_frames`` frames from ``start`` on, ``step`` virtual frames apart, end on the path;
    the more of them, the smaller the step.
    """
    step = rng.uniform(slowest, fastest) * min(1.0, VIRTUAL_FRAMES / (fastest * num_frames))
    return rng.uniform(0, VIRTUAL_FRAMES - step * num_frames), step


def moved_layers(
    rng: Generator, picture: Picture, mask: NDArray[np.uint8], objects: int, size: Size, num_frames: int
) -> list[Layer]:
    """The objects 1..``objects`` of a picture, each on a way of its own before the inpainted background."""
    paths = Paths(rng, VIRTUAL_FRAMES, size)
    start, step = span(rng, 0.5, 3.0, num_frames)
    height, width = size
    corner = np.array([mask.shape[1] - width, mask.shape[0] - height]) / 2

    def way(values: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """The path moved so that at ``start`` it is at ``centre``, upright and of scale 1."""
        return values - paths.spline(values)(start) + [*centre, 0, 0, 0, 0]

    away = inpaint(picture, (mask > 0) & (mask < VOID))
    drift = paths.still(0, 0)
    drift[:, :4] += paths.drift()
    middle = np.array([width - 1, height - 1]) / 2
    ground = Path(paths.spline(way(drift, middle)), STILL, NO_SHAKE, start, step)
    layers = background_layers(CutOut([away], []), size, ground, zoom=mask.shape[0] / height)
    for object_id in range(1, objects + 1):
        cut = CutOut([picture], [mask == object_id])
        extent = extent_of(cut)
        values = way(paths.wander(extent.reach, False), extent.centres[0] - corner)
        path = Path(paths.spline(values), scaling(extent.reach), NO_SHAKE, start, step)
        layers.append(cut_out_layer(cut, extent, path, bend=random_bend(rng), object_id=object_id))
    return layers
