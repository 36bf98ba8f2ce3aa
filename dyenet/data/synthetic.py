"""Synthetic video with exact masks and exact flow: figures of several parts before a moving camera.

Everything follows from a seed. What may happen: rigid, affine, bending and articulated objects, occluders and
look-alikes that are not annotated, objects that leave the frame and return, full occlusions, camera motion and
shake, motion blur, changing light, sensor noise, JPEG artefacts. ``generate_clip`` draws a whole clip;
``SyntheticVideo`` renders single times of a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dyenet.data.clips_files import save_sequence
from dyenet.data.synthetic_layers import Rendering, exact_flow, render
from dyenet.data.synthetic_scene import Scenario, Sensor, build_scene
from dyenet.data.textures import Picture
from dyenet.errors import InputError


@dataclass(frozen=True)
class SyntheticClip:
    """``frames`` (T, H, W, 3) uint8 RGB, ``masks`` (T, H, W) uint8 object ids, ``layers`` (T, H, W) uint8, the
    index of the visible surface; ``flow_backward`` (T-1, 2, H, W) float32, F_{t+1 -> t} on the grid of frame
    t+1, and ``flow_forward``, F_{t -> t+1} on the grid of frame t, in pixels.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    layers: NDArray[np.uint8]
    flow_backward: NDArray[np.float32]
    flow_forward: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frames)


class SyntheticVideo:
    """A scene of ``num_frames`` frames of ``size`` (H, W); any time in [0, num_frames) can be rendered alone."""

    def __init__(
        self,
        seed: int | Sequence[int],
        *,
        num_frames: int,
        size: tuple[int, int] = (256, 448),
        scenario: Scenario | None = None,
    ) -> None:
        if num_frames < 1 or min(size) < 32:
            raise InputError(
                f"a synthetic video needs at least 1 frame and 32x32 pixels, not {num_frames} of {size[1]}x{size[0]}"
            )
        self.num_frames, self.size = num_frames, size
        self._seed = [seed] if isinstance(seed, int) else list(seed)
        rng = np.random.default_rng([*self._seed, 0])
        self.layers = build_scene(rng, num_frames, size, scenario or Scenario())
        self.num_objects = max(layer.object_id for layer in self.layers)
        self._sensor = Sensor(rng, num_frames)

    def render(self, t: float) -> Rendering:
        """The exact scene at time t, before the sensor."""
        return render(self.layers, t, self.size)

    def frame(self, t: float, rendering: Rendering) -> NDArray[np.uint8]:
        """The (H, W, 3) uint8 picture that the camera takes of ``rendering``, the scene at time t."""
        image: NDArray[np.float32] = rendering.image
        if self._sensor.shutter > 0:
            early, late = (
                render(self.layers, t + s * self._sensor.shutter, self.size).image for s in (-0.5, 0.5)
            )
            image = (image * 2 + early + late) * np.float32(0.25)
        return self._sensor.expose(image, t, np.random.default_rng([*self._seed, 1, int(t * 1000) + 10**6]))

    def flow(self, rendering: Rendering, t: float, other: float) -> NDArray[np.float32]:
        """F_{t->other} (2, H, W) float32 on the grid of time t, whose ``rendering`` is given."""
        return exact_flow(self.layers, rendering, t, other)


def generate_clip(
    seed: int | Sequence[int],
    *,
    num_frames: int,
    size: tuple[int, int] = (256, 448),
    num_objects: int | None = None,
    distractors: int | None = None,
    occluders: int | None = None,
    occlusion: bool | None = None,
    leave: bool | None = None,
    photos: Sequence[Picture] = (),
) -> SyntheticClip:
    """A clip with exact masks and flow; the options are those of ``Scenario``, None leaves them to the seed."""
    scenario = Scenario(
        num_objects=num_objects,
        distractors=distractors,
        occluders=occluders,
        occlusion=occlusion,
        leave=leave,
        photos=photos,
    )
    video = SyntheticVideo(seed, num_frames=num_frames, size=size, scenario=scenario)
    return draw_clip(video, range(num_frames))


def draw_clip(video: SyntheticVideo, times: Sequence[float]) -> SyntheticClip:
    """The frames of a scene at ``times``, in their order, with the flow between neighbours."""
    renderings = [video.render(t) for t in times]
    pairs = range(len(times) - 1)
    empty = [np.zeros((0, 2, *video.size), np.float32)]
    return SyntheticClip(
        frames=np.stack([video.frame(t, r) for t, r in zip(times, renderings, strict=True)]),
        masks=np.stack([r.mask for r in renderings]),
        layers=np.stack([r.layer for r in renderings]),
        flow_backward=np.concatenate(
            empty + [video.flow(renderings[i + 1], times[i + 1], times[i])[None] for i in pairs]
        ),
        flow_forward=np.concatenate(
            empty + [video.flow(renderings[i], times[i], times[i + 1])[None] for i in pairs]
        ),
    )


def demo_clip(
    seed: int = 0, *, num_frames: int = 48, size: tuple[int, int] = (270, 480), num_objects: int = 3
) -> SyntheticClip:
    """A clip in which one object is wholly hidden for at least 3 frames and seen again afterwards.

    In the first frame at least half of every object shows, and every object shows at some time in the last half.
    Raises InputError if fewer than 40 frames are asked for, in which that does not fit.
    """
    if num_frames < 40:
        raise InputError(f"a demo clip needs at least 40 frames, but {num_frames} were asked for")
    scenario = Scenario(num_objects=num_objects, occlusion=True, leave=False, distractors=0, occluders=0)
    for attempt in range(300):
        video = SyntheticVideo([seed, attempt], num_frames=num_frames, size=size, scenario=scenario)
        # Many scenes fail in the first frame already.
        first = video.render(0).mask[None]
        if (_areas(first, num_objects)[:, 0] < _least(first, num_objects)).any():
            continue
        masks = np.stack([video.render(t).mask for t in range(num_frames)])
        if shows_return(masks, num_objects) and _shows_half(masks, num_objects):
            return draw_clip(video, range(num_frames))
    raise InputError(
        f"no clip with {num_objects} objects, an occlusion and a return at {size[1]}x{size[0]} for seed {seed}; "
        "take another seed, or fewer objects"
    )


def shows_return(masks: NDArray[np.uint8], num_objects: int, *, hidden: int = 3) -> bool:
    """True if all objects are in the first frame of ``masks`` (T, H, W) and in the second half, and one is
    away for at least ``hidden`` frames in a row and back for at least as many."""
    areas, least = _areas(masks, num_objects), _least(masks, num_objects)
    if (areas[:, 0] < least).any() or (areas[:, masks.shape[0] // 2 :].max(1) < least).any():
        return False
    return any(_returns(row, least, hidden) for row in areas)


def _shows_half(masks: NDArray[np.uint8], num_objects: int) -> bool:
    """True if every object shows at least half its usual area in the first frame."""
    areas = _areas(masks, num_objects)
    return all(row[0] >= 0.5 * np.median(row[row > 0]) for row in areas)


def _areas(masks: NDArray[np.uint8], num_objects: int) -> NDArray[np.int64]:
    """(K, T): the pixels of each object in each frame."""
    return np.stack([(masks == k).sum((1, 2)) for k in range(1, num_objects + 1)])


def _least(masks: NDArray[np.uint8], num_objects: int) -> float:
    """The pixels from which on an object counts as seen: 0.3 % of the frame, fewer among many objects."""
    return min(0.003, 0.012 / num_objects) * masks[0].size


def _returns(areas: NDArray[np.int64], least: float, hidden: int) -> bool:
    gone = np.flatnonzero(areas == 0)
    runs = np.split(gone, np.flatnonzero(np.diff(gone) > 1) + 1)
    longest = max(runs, key=len)
    return len(longest) >= hidden and int((areas[longest[-1] + 1 :] >= least).sum()) >= hidden


def save_clip(clip: SyntheticClip, root: Path | str, name: str = "synthetic") -> None:
    """Adds the clip to a DAVIS 2017 tree at ``root``, split ``val``: see ``save_sequence``."""
    save_sequence(root, name, clip.frames, clip.masks)
