"""Multi-object training clips: cut-outs of videos and images over other videos and pictures (``compositing``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from dyenet.data.clips import ClipDataset, augmented, cover_parts, make_clip, random_times
from dyenet.data.clips_files import AnnotatedVideo, find_images, find_videos, list_pictures, read_picture
from dyenet.data.clips_images import VIRTUAL_FRAMES, read_image, span
from dyenet.data.compositing import (
    NO_SHAKE,
    CutOut,
    background_layers,
    cut_out_layer,
    draw_layers,
    extent_of,
    scaling,
)
from dyenet.data.synthetic_layers import STILL, Layer, Path
from dyenet.data.synthetic_paths import Paths
from dyenet.data.synthetic_scene import pillar, random_bend, solid_layer
from dyenet.data.textures import Picture
from dyenet.errors import ConfigError
from dyenet.registry import DATASETS
from dyenet.structures import Clip


@DATASETS.register_module()
class CompositeClips(ClipDataset):
    """Clips of 1 to ``max_objects`` objects that move, cross, hide one another, leave and return.

    ``videos``: DAVIS trees as ``dict(root=..., split=...)``, whose sequences of one object serve as cut-outs and,
    with their object, as backgrounds; ``images``: roots as for ``ImageClips``, whose objects are cut out and bent;
    ``backgrounds``: folders of pictures without masks. Flow is exact (in all but ``estimated_flow`` of the clips)
    where nothing in the clip is from a video, else DIS on the finished frames. ``distant_first``: the share of
    sequences that show any of their frames in the clip's first; it and ``covered_first`` as in ``VideoClips``.
    Identities: one per sequence, then one per object of every image.
    """

    def __init__(
        self,
        *,
        videos: Sequence[Mapping[str, str]] = (),
        images: Sequence[str] = (),
        backgrounds: Sequence[str] = (),
        max_objects: int = 4,
        max_step: int = 3,
        estimated_flow: float = 0.5,
        distant_first: float = 0.0,
        covered_first: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.distant_first, self.covered_first = distant_first, covered_first
        found = [v for block in videos for v in find_videos(block["root"], block["split"])]
        self.videos = [v for v in found if v.num_objects == 1]
        self.images = [i for root in images for i in find_images(root, skip_corrupt=self.skip_corrupt)]
        self.backgrounds = [p for folder in backgrounds for p in list_pictures(folder)]
        if not (self.videos or (self.images and self.backgrounds)):
            raise ConfigError("CompositeClips needs videos of one object each, or images and backgrounds")
        self.max_objects, self.max_step, self.estimated_flow = max_objects, max_step, estimated_flow
        self.offsets = len(self.videos) + np.cumsum([0, *(len(i.object_ids) for i in self.images)])
        self.identity_names = [
            n for source in (self.videos, self.images) for i in source for n in i.identity_names()
        ]

    def draw(self, rng: Generator) -> Clip:
        layers, identities, sources, is_video = self._background(rng)
        paths = Paths(rng, VIRTUAL_FRAMES, self.size)
        wanted = int(rng.integers(1, self.max_objects + 1))
        front: list[Layer] = []
        for _ in range(max(wanted - len(identities), 1)):
            cut, identity, source = self._cut_out(rng)
            if identity in identities:
                continue
            is_video |= len(cut.pictures) > 1
            identities.append(identity)
            layers.append(self._placed(rng, paths, cut, len(identities), front))
            sources.append(source)
        frames, masks, flow = draw_layers(layers + front, self.num_frames, self.size)
        frames, masks = augmented(self.augment, rng, frames, masks, geometry=False)
        if self.covered_first and rng.random() < self.covered_first:
            cover_parts(rng, frames[0], masks[0])
        estimated = is_video or rng.random() < self.estimated_flow
        return make_clip(frames, masks, None if estimated else flow, identities, sources)

    def _background(self, rng: Generator) -> tuple[list[Layer], list[int], list[str], bool]:
        """The layers at the back, the identities of annotated objects in them, files, and if it is a video."""
        middle = np.array([self.size[1] - 1, self.size[0] - 1]) / 2
        paths = Paths(rng, VIRTUAL_FRAMES, self.size)
        values = paths.still(*middle)
        if self.videos and (not self.backgrounds or rng.random() < 0.5):
            which = int(rng.integers(len(self.videos)))
            cut = self._load(rng, self.videos[which])
            path = Path(paths.spline(values), STILL, NO_SHAKE)
            source = str(self.videos[which].images[0].parent)
            return background_layers(cut, self.size, path, object_id=1), [which], [source], True
        file = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        values[:, :4] += paths.drift()
        start = rng.uniform(0, VIRTUAL_FRAMES / 2)
        path = Path(paths.spline(values), STILL, NO_SHAKE, start, rng.uniform(0.2, 2.0))
        layers = background_layers(
            CutOut([_mirrored(rng, read_picture(file))], []), self.size, path, zoom=1.2
        )
        return layers, [], [str(file)], False

    def _cut_out(self, rng: Generator) -> tuple[CutOut, int, str]:
        """A thing to paste, its identity and its file."""
        if self.videos and (not self.images or rng.random() < 0.5):
            which = int(rng.integers(len(self.videos)))
            return self._load(rng, self.videos[which]), which, str(self.videos[which].images[0].parent)
        which = int(rng.integers(len(self.images)))
        picture, mask, chosen = read_image(self.images[which], rng, 1)
        mirror = slice(None, None, -1 if rng.random() < 0.5 else None)
        cut = CutOut([np.ascontiguousarray(picture[:, mirror])], [mask[:, mirror] == 1])
        return cut, int(self.offsets[which]) + chosen[0], str(self.images[which].image)

    def _load(self, rng: Generator, video: AnnotatedVideo) -> CutOut:
        at = random_times(rng, len(video.images), self.num_frames, self.max_step, self.distant_first)
        mirror = slice(None, None, -1 if rng.random() < 0.5 else None)
        return CutOut(
            [np.ascontiguousarray(read_picture(video.images[i])[:, mirror]) for i in at],
            [video.mask(i)[:, mirror] == 1 for i in at],
        )

    def _placed(self, rng: Generator, paths: Paths, cut: CutOut, object_id: int, front: list[Layer]) -> Layer:
        """``cut`` on a random path; now and then one that leaves, or one behind a pillar added to ``front``."""
        extent = extent_of(cut)
        height, width = self.size
        radius = height * np.exp(rng.uniform(np.log(0.15), np.log(0.55)))
        start, step = span(rng, 0.3, 2.0, self.num_frames)
        if rng.random() < 0.15:
            x = width * rng.uniform(0.2, 0.8)
            values, half = paths.behind(radius * extent.half_width / extent.reach, x)
            still = Path(paths.spline(paths.still(x, height / 2)), STILL, NO_SHAKE)
            outline = pillar(rng, half * rng.uniform(0.3, 1.0), height)
            front.append(solid_layer(rng, outline, still, 0.2 * width, cut.pictures[:1]))
        else:
            values = paths.wander(radius, rng.random() < 0.3)
        values[:, 3] *= 0.4  # photographed things stay nearly upright
        path = Path(paths.spline(values), scaling(radius), NO_SHAKE, start, step)
        bend = random_bend(rng) if len(cut.pictures) == 1 else None
        return cut_out_layer(cut, extent, path, bend=bend, object_id=object_id)


def _mirrored(rng: Generator, picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture
