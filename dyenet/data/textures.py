"""Colour textures made of value noise, stripes, checks, cells and the like, or cut from photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
Map = NDArray[np.float32]
"""(H, W) float32, mostly in [0, 1]."""


def noise(rng: Generator, shape: tuple[int, int], cell: float | tuple[float, float], octaves: int = 4) -> Map:
    """Value noise: random grids of halving cells, enlarged smoothly and summed; stretched to [0, 1].

    ``cell`` is the side of the coarsest cell in pixels, or (height, width) for stretched noise.
    """
    height, width = shape
    cell_y, cell_x = (cell, cell) if isinstance(cell, (int, float)) else cell
    out = np.zeros(shape, np.float32)
    for octave in range(octaves):
        fy, fx = max(cell_y / 2**octave, 1.0), max(cell_x / 2**octave, 1.0)
        grid = rng.random((int(height / fy) + 4, int(width / fx) + 4), dtype=np.float32)
        # The grid is enlarged by affine sampling, so that only the needed part is made.
        matrix = np.array([[1 / fx, 0, 1 + rng.random()], [0, 1 / fy, 1 + rng.random()]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        out += 0.5**octave * cv2.warpAffine(
            grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
        )
    low, high = float(out.min()), float(out.max())
    return (out - low) / max(high - low, 1e-6)


def palette(rng: Generator, colours: int = 4) -> NDArray[np.float32]:
    """(colours, 3) RGB in 0..255 that go together: one hue, neighbours or opposites, from dark to light."""
    hue = rng.random() + rng.choice([0.0, 0.5, 0.33], colours, p=[0.7, 0.2, 0.1])
    hue = (hue + rng.normal(0, rng.uniform(0.01, 0.1), colours)) % 1
    saturation = np.clip(rng.uniform(0.02, 0.7) + rng.normal(0, 0.15, colours), 0, 1)
    value = np.sort(np.clip(rng.uniform(0.15, 0.5) + rng.uniform(0, 0.7, colours), 0.05, 1))
    hsv = np.stack([hue * 360, saturation, value], axis=-1).astype(np.float32)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] * 255


def _wave(rng: Generator, shape: tuple[int, int], period: float, angle: float) -> Map:
    """A sine of the given period in pixels, running along ``angle``, its phase bent by noise."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    bend = rng.uniform(0, 1.2) * noise(rng, shape, 4 * period, 2)
    return np.sin(2 * np.pi * ((x * np.cos(angle) + y * np.sin(angle)) / period + bend)).astype(np.float32)


def _clouds(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    return noise(rng, shape, scale, 5)


def _stripes(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    wave = _wave(rng, shape, scale * rng.uniform(0.3, 0.8), rng.uniform(0, np.pi))
    return np.clip(0.5 + wave * rng.choice([0.5, 3.0]), 0, 1).astype(np.float32)


def _checks(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    angle, period = rng.uniform(0, np.pi), scale * rng.uniform(0.4, 0.9)
    both = _wave(rng, shape, period, angle) * _wave(rng, shape, period, angle + np.pi / 2)
    return np.clip(0.5 + both * rng.uniform(2, 8), 0, 1).astype(np.float32)


def _blobs(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    field = noise(rng, shape, scale * 0.6, 2)
    return np.clip(0.5 + (field - np.quantile(field, rng.uniform(0.35, 0.75))) * 12, 0, 1).astype(np.float32)


def _cells(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    """Voronoi cells, each with its own value and darker towards its rim."""
    points = np.full(shape, 255, np.uint8)
    number = max(4, int(4 * shape[0] * shape[1] / scale**2))
    points[rng.integers(0, shape[0], number), rng.integers(0, shape[1], number)] = 0
    distance, label = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    value = rng.random(number + 2, dtype=np.float32)[label]
    return np.clip(value - rng.uniform(0, 0.6) * distance / scale, 0, 1).astype(np.float32)


def _fur(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    long, short = scale * rng.uniform(0.6, 1.2), scale * rng.uniform(0.06, 0.15)
    return noise(rng, shape, (long, short) if rng.random() < 0.5 else (short, long), 3)


def _plain(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    return 0.5 + 0.25 * (noise(rng, shape, 2 * scale, 3) - 0.5)


def _bricks(rng: Generator, shape: tuple[int, int], scale: float) -> Map:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    h, w = scale * rng.uniform(0.2, 0.35), scale * rng.uniform(0.4, 0.8)
    row = np.floor(y / h)
    column = np.floor(x / w + row % 2 * 0.5)
    value = rng.random((64, 64), dtype=np.float32)[row.astype(int) % 64, column.astype(int) % 64]
    joint = (y / h % 1 < 0.12) | ((x / w + row % 2 * 0.5) % 1 < 0.08)
    return np.where(joint, 0.0, 0.4 + 0.5 * value).astype(np.float32)


Pattern = Callable[[Generator, tuple[int, int], float], Map]
PATTERNS: tuple[Pattern, ...] = (_clouds, _stripes, _checks, _blobs, _cells, _fur, _plain, _bricks)
PATTERN_WEIGHTS = (0.22, 0.12, 0.08, 0.14, 0.12, 0.14, 0.1, 0.08)


def texture(
    rng: Generator, shape: tuple[int, int], scale: float, colours: NDArray[np.float32] | None = None
) -> Picture:
    """A random texture of ``shape`` (H, W) whose largest features are about ``scale`` pixels."""
    colours = palette(rng, int(rng.integers(2, 6))) if colours is None else colours
    pattern = PATTERNS[rng.choice(len(PATTERNS), p=PATTERN_WEIGHTS)]
    picture = _paint(pattern(rng, shape, scale), colours)
    if rng.random() < 0.3:  # a second pattern shows through in patches
        other = PATTERNS[rng.choice(len(PATTERNS), p=PATTERN_WEIGHTS)](rng, shape, scale)
        through = _blobs(rng, shape, 1.5 * scale)[..., None]
        picture = picture * (1 - through) + _paint(other, colours[::-1]) * through
    uneven = 1 + rng.uniform(0.1, 0.5) * (noise(rng, shape, scale * 1.5, 6) - 0.5)
    grain = rng.normal(0, rng.uniform(0, 6), (*shape, 1)).astype(np.float32)
    return np.clip(picture * uneven[..., None] + grain, 0, 255).astype(np.uint8)


def _paint(value: Map, colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours the values 0..1 along the palette: (H, W) -> (H, W, 3) float32."""
    at = np.linspace(0, 1, 256)
    table = np.stack([np.interp(at, np.linspace(0, 1, len(colours)), channel) for channel in colours.T], -1)
    return table.astype(np.float32)[(value * 255).astype(np.uint8)]


def photo_texture(rng: Generator, shape: tuple[int, int], photos: Sequence[Picture]) -> Picture:
    """A random crop of one of ``photos``, enlarged to ``shape`` (H, W), with its colours changed a little."""
    photo = photos[int(rng.integers(len(photos)))]
    height, width = photo.shape[:2]
    aspect = shape[1] / shape[0]
    side = rng.uniform(0.4, 1.0)
    crop_h = max(2, int(side * min(height, width / aspect)))
    crop_w = max(2, min(width, int(crop_h * aspect)))
    top, left = int(rng.integers(height - crop_h + 1)), int(rng.integers(width - crop_w + 1))
    crop = photo[top : top + crop_h, left : left + crop_w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    shrinks = crop_h > shape[0]
    crop = cv2.resize(  # type: ignore[assignment]
        np.ascontiguousarray(crop),
        (shape[1], shape[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    return np.clip(crop * gain.astype(np.float32), 0, 255).astype(np.uint8)
