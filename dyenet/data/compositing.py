"""Multi-object video out of single-object video and still images: cut-outs moved over a background.

Every cut-out is a layer (``synthetic_layers``) on a smooth path, so masks are exact, and occlusions, exits and
returns happen in front of real textures. ``compose_video`` makes whole videos, on which tracking of several
objects is judged; the training clips of ``clips_composite`` use the same layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from dyenet.data.clips_files import AnnotatedVideo, read_picture
from dyenet.data.synthetic import shows_return
from dyenet.data.synthetic_layers import STILL, Bend, Layer, Matrix, Path, Shot, exact_flow, render
from dyenet.data.synthetic_paths import Paths
from dyenet.data.synthetic_scene import pillar, solid_layer
from dyenet.data.textures import Picture
from dyenet.errors import InputError

NO_SHAKE = CubicSpline([-1e6, 1e6], np.zeros((2, 2)))
INPAINT_MARGIN = 7
"""Pixels by which an object's mask grows before it is inpainted (Lucid Data Dreaming)."""


@dataclass(frozen=True)
class CutOut:
    """A thing to paste: ``pictures`` (h, w, 3) and boolean ``masks`` (h, w), one per frame, or one for a still."""

    pictures: Sequence[Picture]
    masks: Sequence[NDArray[np.bool_]]


@dataclass(frozen=True)
class Extent:
    """Where a cut-out is: ``centres`` (T, 2), the middle of its box smoothed over 9 frames, and how far it
    reaches from there in any frame, in any direction (``reach``) and sideways (``half_width``), in pixels.
    """

    centres: NDArray[np.float64]
    reach: float
    half_width: float


def extent_of(cut: CutOut) -> Extent:
    boxes = [_box(m) for m in cut.masks]
    centres = _smooth_centres(boxes)
    far = [
        np.maximum(np.abs(b[:2] - c), np.abs(b[2:] - c))
        for b, c in zip(boxes, centres, strict=True)
        if b is not None
    ]
    if not far:
        return Extent(centres, 1.0, 1.0)
    return Extent(centres, max(float(np.hypot(*f)) for f in far), max(float(f[0]) for f in far))


def cut_out_layer(
    cut: CutOut, extent: Extent, path: Path, *, bend: Bend | None = None, object_id: int = 0
) -> Layer:
    """``cut`` as a layer whose centre lies on the path; figure units are those of its reach.

    So with ``path.before`` a scaling by r it reaches r pixels from the path's point. Frames without the object
    show nothing.
    """
    shots = []
    for picture, mask, centre in zip(cut.pictures, cut.masks, extent.centres, strict=True):
        height, width = mask.shape
        box = _box(mask)
        window = np.array([0, 0, 1, 1]) if box is None else box.astype(int)
        x0, y0 = np.maximum(window[:2] - 3, 0)
        x1, y1 = np.minimum(window[2:] + 3, [width, height])
        alpha = cv2.GaussianBlur(mask[y0:y1, x0:x1].astype(np.uint8) * 255, (0, 0), 0.7)
        to_figure = np.array([[1, 0, x0 - centre[0]], [0, 1, y0 - centre[1]]]) / extent.reach
        shots.append(Shot(picture[y0:y1, x0:x1], alpha.astype(np.uint8, copy=False), to_figure))
    return Layer(shots, path, None, bend, object_id)


def scaling(factor: float) -> Matrix:
    return np.diag([factor, factor, 1.0])[:2]


def _box(mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """(x0, y0, x1, y1) of the True pixels, or None."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def _smooth_centres(boxes: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """(T, 2): the boxes' middles, gaps filled in linearly, averaged over 9 frames."""
    known = [i for i, box in enumerate(boxes) if box is not None]
    if not known:
        return np.zeros((len(boxes), 2))
    middles = np.array([(b[:2] + b[2:]) / 2 for b in boxes if b is not None])
    every = np.arange(len(boxes))
    filled = np.stack([np.interp(every, known, m) for m in middles.T], -1)
    padded = np.pad(filled, ((4, 4), (0, 0)), mode="edge")
    return np.stack([padded[i : i + len(boxes)] for i in range(9)]).mean(0)


def background_layers(
    cut: CutOut, size: tuple[int, int], path: Path, *, zoom: float = 1.0, object_id: int | None = None
) -> list[Layer]:
    """Pictures that fill a frame of ``size`` (H, W), enlarged by ``zoom`` beyond that, their middle on the path.

    With an ``object_id`` their own object follows as a layer of its own.
    """
    height, width = cut.pictures[0].shape[:2]
    scale = zoom * max(size[0] / height, size[1] / width)
    to_figure = np.array([[scale, 0, -scale * (width - 1) / 2], [0, scale, -scale * (height - 1) / 2]])
    layers = [Layer([Shot(p, None, to_figure) for p in cut.pictures], path)]
    if object_id is not None:
        alphas = [m.astype(np.uint8) * 255 for m in cut.masks]
        shots = [Shot(p, a, to_figure) for p, a in zip(cut.pictures, alphas, strict=True)]
        layers.append(Layer(shots, path, object_id=object_id))
    return layers


def draw_layers(
    layers: Sequence[Layer], num_frames: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Frames (T, H, W, 3) uint8, masks (T, H, W) uint8 and, exact where no layer is cut from a video, F_{t+1 -> t}
    (T-1, 2, H, W) float32 of frames 0..T-1."""
    renderings = [render(layers, t, size) for t in range(num_frames)]
    flow = [exact_flow(layers, renderings[t], t, t - 1) for t in range(1, num_frames)]
    return (
        np.stack([np.clip(r.image, 0, 255).astype(np.uint8) for r in renderings]),
        np.stack([r.mask for r in renderings]),
        np.stack(flow) if flow else np.zeros((0, 2, *size), np.float32),
    )


def inpaint(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """``picture`` (H, W, 3) with the True pixels and a margin filled in from around them, blurred."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * INPAINT_MARGIN + 1,) * 2)
    hole = cv2.dilate(mask.astype(np.uint8), disk)
    height, width = mask.shape
    small = (max(8, width // 4), max(8, height // 4))
    low = cv2.inpaint(
        cv2.resize(picture, small, interpolation=cv2.INTER_AREA),
        (cv2.resize(hole, small, interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8),
        3,
        cv2.INPAINT_TELEA,
    )
    filled = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(hole[..., None] > 0, filled, picture).astype(np.uint8)


@dataclass(frozen=True)
class CompositeVideo:
    """``frames`` (T, H, W, 3) uint8, ``masks`` (T, H, W) uint8; ``sequences[k - 1]``: where object k is from."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    sequences: list[str]


def compose_video(
    seed: int,
    sequences: Sequence[AnnotatedVideo],
    *,
    num_frames: int = 60,
    num_objects: int = 3,
    size: tuple[int, int] = (480, 854),
    event: Literal["leave", "hide"] = "hide",
) -> CompositeVideo:
    """A video of ``num_objects`` objects, each from another one of ``sequences``, with an occlusion and a return.

    Object 1 is the background sequence's own; the others are pasted over it on smooth paths. With ``event``
    "leave" the last object leaves the frame and comes back, with "hide" it passes behind a pillar; either way
    it is away for at least 3 frames and back for at least 3. Every object is in at least half of the frames, and in the
    first one with at least a quarter of its largest area: what sticks out behind a pillar names no object. Short
    sequences are played to and fro. Raises InputError if there are fewer sequences than
    objects, or if no such video is found in 30 attempts.
    """
    if not 2 <= num_objects <= len(sequences):
        raise InputError(
            f"a composite of {num_objects} objects needs as many sequences (2 or more), not {len(sequences)}"
        )
    for attempt in range(30):
        rng = np.random.default_rng([seed, attempt])
        chosen = [sequences[i] for i in rng.permutation(len(sequences))[:num_objects]]
        layers = _video_layers(rng, chosen, num_frames, size, event)
        renderings = [render(layers, t, size) for t in range(num_frames)]
        masks = np.stack([r.mask for r in renderings])
        last = (masks == num_objects).astype(np.uint8)
        if shows_return(last, 1) and show_well(masks, num_objects):
            frames = np.stack([np.clip(r.image, 0, 255).astype(np.uint8) for r in renderings])
            return CompositeVideo(frames, masks, [v.name for v in chosen])
    raise InputError(f"no composite with an occlusion and a return for seed {seed}; take another seed")


def show_well(masks: NDArray[np.uint8], num_objects: int) -> bool:
    """Whether masks (T, H, W) have all objects where ``compose_video`` says."""
    # (K, T), shares of the frame
    areas = np.stack([(masks == k).mean((1, 2)) for k in range(1, num_objects + 1)])
    seen = areas >= 0.002
    given = seen[:, 0] & (areas[:, 0] >= 0.25 * areas.max(axis=1))
    return bool(given.all() and (seen.mean(1) >= 0.5).all())


def _video_layers(
    rng: Generator, videos: Sequence[AnnotatedVideo], num_frames: int, size: tuple[int, int], event: str
) -> list[Layer]:
    paths = Paths(rng, num_frames, size)
    height, width = size
    middle = Path(paths.spline(paths.still((width - 1) / 2, (height - 1) / 2)), STILL, NO_SHAKE)
    layers = background_layers(load_cut_out(videos[0], num_frames, rng), size, middle, object_id=1)
    front: list[Layer] = []
    for object_id, video in enumerate(videos[1:], start=2):
        cut = load_cut_out(video, num_frames, rng)
        extent = extent_of(cut)
        radius = height * rng.uniform(0.22, 0.38)
        radius = min(radius, 0.2 * width * extent.reach / extent.half_width)
        eventful = object_id == len(videos)
        if eventful and event == "hide":
            x = width * rng.uniform(0.4, 0.6)
            values, half = paths.behind(0.85 * radius * extent.half_width / extent.reach, x)
            still = Path(paths.spline(paths.still(x, height / 2)), STILL, NO_SHAKE)
            front.append(solid_layer(rng, pillar(rng, half, height), still, 0.2 * width, cut.pictures[:1]))
        else:
            values = paths.wander(radius, eventful)
        values[:, 3] *= 0.4  # photographed things stay nearly upright
        path = Path(paths.spline(values), scaling(radius), NO_SHAKE)
        layers.append(cut_out_layer(cut, extent, path, object_id=object_id))
    return layers + front


def load_cut_out(video: AnnotatedVideo, num_frames: int, rng: Generator) -> CutOut:
    """``num_frames`` successive frames from a random place of the video, played to and fro if it is shorter."""
    length = len(video.images)
    first = int(rng.integers(max(1, length - num_frames + 1)))
    cycle = max(1, 2 * length - 2)
    at = [min(i % cycle, cycle - i % cycle) for i in range(first, first + num_frames)]
    pictures = {i: read_picture(video.images[i]) for i in set(at)}
    masks = {i: video.mask(i) == 1 for i in set(at)}
    return CutOut([pictures[i] for i in at], [masks[i] for i in at])
