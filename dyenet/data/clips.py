"""Training clips: map-style data sets that give a ``structures.Clip`` per index.

Item ``index`` depends on the data set's ``seed`` and on ``index`` alone, so a resumed run sees the same clips.
``length`` is virtual: make it as long as the training (iterations times batch), then no clip comes twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dyenet.data.clips_files import find_videos, list_pictures, read_picture
from dyenet.data.masks import VOID
from dyenet.data.synthetic import SyntheticVideo, draw_clip
from dyenet.data.synthetic_scene import Scenario
from dyenet.data.transforms import ClipAugmentation
from dyenet.errors import ConfigError, InputError
from dyenet.models.flow import dis_flow
from dyenet.registry import DATASETS
from dyenet.structures import Clip

Size = tuple[int, int]
MIN_PIXELS = 32
"""An object that has fewer pixels than this in every frame of a clip is void there."""
FLOW_LIMIT = 60000.0


class ClipDataset(Dataset[Clip]):
    """Base of all: draws clip ``index`` from its own random generator.

    Args: ``size`` (H, W) of the frames; ``num_frames`` T; ``length``; ``seed``; ``augmentation``: arguments of
    ``ClipAugmentation`` but its size; ``skip_corrupt``: a clip with a file that cannot be read is replaced by
    another, and a warning counts them; otherwise InputError names the file.
    """

    identity_names: Sequence[str] = ()
    """What the identities 0, 1, ... of the clips are; two data sets mean the same object by the same name."""

    @property
    def num_identities(self) -> int:
        """Identities 0..num_identities-1 occur in the clips."""
        return len(self.identity_names)

    def __init__(
        self,
        *,
        size: Size = (256, 448),
        num_frames: int = 4,
        length: int = 100_000,
        seed: int = 0,
        augmentation: Mapping[str, Any] | None = None,
        skip_corrupt: bool = False,
    ) -> None:
        self.size: Size = (size[0], size[1])
        self.num_frames, self.length, self.seed, self.skip_corrupt = num_frames, length, seed, skip_corrupt
        self.augment = self.augmentation(self.size, augmentation or {})
        self.skipped = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        for attempt in range(100):
            try:
                return self.draw(np.random.default_rng([self.seed, index, attempt]))
            except InputError as error:
                if not self.skip_corrupt:
                    raise
                self.skipped += 1
                warnings.warn(f"skipped {self.skipped} clips so far; the last: {error}", stacklevel=2)
        raise InputError(
            f"clip {index}: 100 clips in a row had files that cannot be read; check the data set"
        )

    def augmentation(self, size: Size, arguments: Mapping[str, Any]) -> ClipAugmentation:
        """The augmentation that crops to ``size``; ConfigError for arguments it does not know."""
        try:
            return ClipAugmentation(size=size, **arguments)
        except TypeError as error:
            raise ConfigError(f"augmentation of {type(self).__name__}: {error}") from error

    def draw(self, rng: Generator) -> Clip:
        """A random clip. Raises InputError that names a file that cannot be read."""
        raise NotImplementedError


def make_clip(
    frames: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    flow: NDArray[np.float32] | None,
    identities: Sequence[int],
    sources: list[str],
) -> Clip:
    """A clip from (T, H, W, 3) frames, (T, H, W) masks with ids 1..K, flow or None for DIS, and K identities.

    Objects that hardly show in any frame are left out, their pixels void, and the others are renumbered.
    """
    if flow is None:
        pairs = range(len(frames) - 1)
        flow = np.stack([dis_flow(frames[t + 1], frames[t]) for t in pairs]) if len(pairs) else None
    areas = np.stack([(masks == k).sum((1, 2)).max() for k in range(1, len(identities) + 1)] or [0])
    kept = [k for k in range(1, len(identities) + 1) if areas[k - 1] >= MIN_PIXELS]
    table = np.full(256, VOID, np.uint8)
    table[0] = 0
    table[kept] = np.arange(1, len(kept) + 1)
    flow = np.zeros((0, 2, *masks.shape[1:]), np.float32) if flow is None else flow
    return Clip(
        frames=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))),
        masks=torch.from_numpy(table[masks]),
        flow=torch.from_numpy(np.clip(flow, -FLOW_LIMIT, FLOW_LIMIT)).half(),
        identities=[int(identities[k - 1]) for k in kept],
        sources=sources,
    )


def augmented(
    augment: ClipAugmentation,
    rng: Generator,
    frames: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    **parts: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``ClipAugmentation`` on (T, H, W, 3) and (T, H, W) arrays; ``parts``: its geometry, photometry switches."""
    video = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
    video, mask = augment(video, torch.from_numpy(masks), seed=int(rng.integers(2**31)), **parts)
    return np.ascontiguousarray(video.permute(0, 2, 3, 1).numpy()), mask.numpy()


@DATASETS.register_module()
class VideoClips(ClipDataset):
    """Clips of a DAVIS 2016 or 2017 tree: ``num_frames`` frames of one sequence, 1..``max_step`` apart, forwards
    or backwards in time, under one random crop, flip and change of colour; flow by DIS on the result (reading D21).

    ``distant_first``: the share of clips whose first frame is any frame of the sequence, for templates that are as old
    as those at test time; flow from it means nothing then, see ``RecurrenceConfig.template_frame``. ``covered_first``:
    the share of clips in whose first frame a part of each object is covered, so that templates do not show all of it.
    Identities: one per object of every sequence of the split.
    """

    def __init__(
        self,
        *,
        root: str,
        split: str = "train",
        max_step: int = 3,
        distant_first: float = 0.0,
        covered_first: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.videos = find_videos(root, split)
        self.max_step, self.distant_first, self.covered_first = max_step, distant_first, covered_first
        self.offsets = np.cumsum([0, *(v.num_objects for v in self.videos)])
        self.identity_names = [n for v in self.videos for n in v.identity_names()]

    def draw(self, rng: Generator) -> Clip:
        which = int(rng.integers(len(self.videos)))
        video = self.videos[which]
        at = random_times(rng, len(video.images), self.num_frames, self.max_step, self.distant_first)
        frames = np.stack([read_picture(video.images[i]) for i in at])
        masks = np.stack([video.mask(i) for i in at])
        if frames.shape[:3] != masks.shape:
            raise InputError(
                f"{video.images[at[0]]} is {frames.shape[2]}x{frames.shape[1]}, but its mask is "
                f"{masks.shape[2]}x{masks.shape[1]}"
            )
        frames, masks = augmented(self.augment, rng, frames, masks)
        if self.covered_first and rng.random() < self.covered_first:
            cover_parts(rng, frames[0], masks[0])
        identities = range(self.offsets[which], self.offsets[which + 1])
        return make_clip(frames, masks, None, identities, [str(video.images[i]) for i in at])


def random_times(
    rng: Generator, length: int, count: int, max_step: int, distant_first: float = 0.0
) -> list[int]:
    """``count`` frame indices of a video of ``length``, equally far apart, in either direction; in ``distant_first`` of
    the cases the first is any frame in place of the one before the others.

    A video that is too short is played to and fro.
    """
    step = int(rng.integers(1, max_step + 1))
    step = max(1, min(step, (length - 1) // max(1, count - 1)))
    first = int(rng.integers(max(1, length - step * (count - 1))))
    cycle = max(1, 2 * length - 2)
    steps = [(first + step * i) % cycle for i in range(count)]
    times = [min(i, cycle - i) if length > 1 else 0 for i in steps]
    times = times[::-1] if rng.random() < 0.5 else times
    if distant_first and rng.random() < distant_first:
        times[0] = int(rng.integers(length))
    return times


def cover_parts(rng: Generator, frame: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Covers, in place, a part of every object of a ``frame`` (H, W, 3) and its ``mask`` (H, W) with background from
    elsewhere in the frame: what lies on one side of a random line, which leaves a third to four fifths of the object.
    """
    labels, (height, width) = mask.copy(), mask.shape
    other = np.where((labels > 0)[..., None], frame.mean(axis=(0, 1)).astype(np.uint8), frame)
    shift = rng.integers(height // 4, height), rng.integers(width // 4, width)
    other = np.roll(other, shift, axis=(0, 1))
    for object_id in np.unique(labels[(labels > 0) & (labels < VOID)]):
        rows, columns = np.nonzero(labels == object_id)
        angle = rng.uniform(0, 2 * np.pi)
        least = np.quantile(columns * np.cos(angle) + rows * np.sin(angle), rng.uniform(1 / 3, 0.8))
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        y, x = np.mgrid[top:bottom, left:right]
        covered = x * np.cos(angle) + y * np.sin(angle) > least
        frame[top:bottom, left:right][covered] = other[top:bottom, left:right][covered]
        mask[top:bottom, left:right][covered] = 0


@DATASETS.register_module()
class SyntheticClips(ClipDataset):
    """Clips of ``SyntheticVideo`` scenes, 1..``max_step`` frames apart, forwards or backwards.

    ``num_scenes``: clips come from so many scenes and their objects are identities (4 per scene), or None: a
    new scene every time, no identities. ``photos``: a folder of pictures to use among the textures.
    ``estimated_flow``: the share of clips with DIS flow, as the network gets it later, instead of the exact one.
    """

    OBJECTS = 4
    SCENE_FRAMES = 40

    def __init__(
        self,
        *,
        num_scenes: int | None = None,
        max_step: int = 3,
        photos: str | None = None,
        estimated_flow: float = 0.5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.num_scenes, self.max_step, self.estimated_flow = num_scenes, max_step, estimated_flow
        self.photos = list_pictures(photos) if photos is not None else []
        self.identity_names = [
            f"synthetic scene {self.seed} {scene} {k}"
            for scene in range(num_scenes or 0)
            for k in range(self.OBJECTS)
        ]

    def draw(self, rng: Generator) -> Clip:
        scene = int(rng.integers(self.num_scenes or 2**31))
        scene_rng = np.random.default_rng([self.seed, scene])
        photos: list[NDArray[np.uint8]] = []
        if self.photos:
            photos = [read_picture(self.photos[i]) for i in scene_rng.integers(len(self.photos), size=3)]
        video = SyntheticVideo(
            [self.seed, scene],
            num_frames=self.SCENE_FRAMES,
            size=self.size,
            scenario=Scenario(num_objects=int(scene_rng.integers(1, self.OBJECTS + 1)), photos=photos),
        )
        for _ in range(8):  # a clip should begin with something to segment
            times = random_times(rng, self.SCENE_FRAMES, self.num_frames, self.max_step)
            if (video.render(times[0]).mask > 0).sum() >= MIN_PIXELS:
                break
        clip = draw_clip(video, times)
        flow = None if rng.random() < self.estimated_flow else clip.flow_backward
        first = scene * self.OBJECTS if self.num_scenes else None
        identities = [-1 if first is None else first + k for k in range(video.num_objects)]
        frames, masks = augmented(self.augment, rng, clip.frames, clip.masks, geometry=False)
        return make_clip(frames, masks, flow, identities, [f"synthetic scene {scene}, frames {times}"])


@DATASETS.register_module()
class MixedClips(Dataset[Clip]):
    """Clips of several data sets, drawn with ``weights``; an object that several of them show is one identity. Among
    them may be other mixes.

    ``datasets``: configs or data sets; ``common`` is what every config among them is given besides, as is ``seed``.
    Item ``index`` is item ``index`` (modulo its length) of the drawn one.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[Any],
        weights: Sequence[float] | None = None,
        common: Mapping[str, Any] | None = None,
        length: int = 100_000,
        seed: int = 0,
    ) -> None:
        weights = [1.0] * len(datasets) if weights is None else weights
        if len(weights) != len(datasets) or not datasets or min(weights) < 0 or sum(weights) <= 0:
            raise ConfigError(f"MixedClips: weights {list(weights)} do not fit {len(datasets)} datasets")
        self.datasets = [
            DATASETS.build({"seed": seed, **(common or {}), **d}) if isinstance(d, Mapping) else d
            for d in datasets
        ]
        self.weights = np.asarray(weights, float) / np.sum(weights)
        self.length, self.seed = length, seed
        places: dict[str, int] = {}
        self.identities = [
            [places.setdefault(n, len(places)) for n in d.identity_names] for d in self.datasets
        ]
        self.identity_names, self.num_identities = list(places), len(places)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        which = int(np.random.default_rng([self.seed, index]).choice(len(self.datasets), p=self.weights))
        clip = self.datasets[which][index % len(self.datasets[which])]
        clip.identities = [i if i < 0 else self.identities[which][i] for i in clip.identities]
        return clip
