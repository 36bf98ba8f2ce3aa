"""Layers of a synthetic video: pictures whose motion is known in closed form, both ways.

A layer takes a point of its picture (material coordinates) to the image at time t by a chain of invertible
maps: the joint of a part, the bend of its figure (two shears), the path of the figure, the shake of the
camera. So the flow between any two times is exact: a pixel's visible layer says where that surface point was.
Image coordinates are pixel indices: (x, y) = (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from dyenet.data.shapes import Part, Sprite
from dyenet.data.textures import Picture

Points = NDArray[np.floating]
"""(2, ...): x and y; maps keep their precision (frames are drawn in float32)."""
Matrix = NDArray[np.float64]
"""(2, 3) affine map of column points."""


def apply(matrix: Matrix, points: Points) -> Points:
    (a, b, c), (d, e, f) = matrix.tolist()
    x, y = points
    out = np.empty_like(points)
    out[0], out[1] = a * x + b * y + c, d * x + e * y + f
    return out


def chain(outer: Matrix, inner: Matrix) -> Matrix:
    """The affine map ``outer(inner(p))``."""
    out = outer[:, :2] @ inner
    out[:, 2] += outer[:, 2]
    return out


def inverse(matrix: Matrix) -> Matrix:
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -(linear @ matrix[:, 2:])], axis=1)


def pose(
    x: float,
    y: float,
    log_scale: float = 0.0,
    angle: float = 0.0,
    log_aspect: float = 0.0,
    shear: float = 0.0,
) -> Matrix:
    """Stretch by exp(+-log_aspect), shear, scale by exp(log_scale), turn by ``angle``, move to (x, y)."""
    c, s = math.cos(angle), math.sin(angle)
    a, b = math.exp(log_scale + log_aspect), math.exp(log_scale - log_aspect)
    return np.array([[c * a, (c * shear - s) * b, x], [s * a, (s * shear + c) * b, y]])


STILL: Matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
"""The affine map that moves nothing."""


@dataclass(frozen=True)
class Path:
    """A smooth path: the six arguments of ``pose`` as one spline over time, then the camera's ``shake``.

    Frame t of the video is at ``start + step * t`` on both splines. ``before`` takes figure units to pixels.
    """

    spline: CubicSpline
    before: Matrix
    shake: CubicSpline
    start: float = 0.0
    step: float = 1.0
    _known: dict[float, Matrix] = field(default_factory=dict, repr=False, compare=False)

    def matrix(self, t: float) -> Matrix:
        if t not in self._known:  # all parts of a figure ask for it, several times
            at = self.start + self.step * t
            outer = chain(pose(*self.shake(at).tolist()), pose(*self.spline(at).tolist()))
            self._known[t] = chain(outer, self.before)
        return self._known[t]


@dataclass(frozen=True)
class Bend:
    """Two shears, each exactly invertible: x += a_x sin(k_x y + r_x t + p_x), then y by the new x.

    ``amplitude``, ``wavenumber``, ``rate``, ``phase``: (x, y) pairs in figure units and radians.
    """

    amplitude: tuple[float, float]
    wavenumber: tuple[float, float]
    rate: tuple[float, float]
    phase: tuple[float, float]

    def _shift(self, axis: int, other: Points, t: float) -> Points:
        return self.amplitude[axis] * np.sin(
            self.wavenumber[axis] * other + float(self.rate[axis] * t + self.phase[axis])
        )

    def forward(self, points: Points, t: float) -> Points:
        x = points[0] + self._shift(0, points[1], t)
        return np.stack([x, points[1] + self._shift(1, x, t)])

    def backward(self, points: Points, t: float) -> Points:
        y = points[1] - self._shift(1, points[0], t)
        return np.stack([points[0] - self._shift(0, y, t), y])


@dataclass(frozen=True)
class Shot:
    """A picture: ``colour`` (h, w, 3) uint8, ``alpha`` (h, w) uint8 or None for one that covers every pixel of
    the frame (mirrored beyond its rim), and the map from its pixels to figure units.
    """

    colour: Picture
    alpha: NDArray[np.uint8] | None
    to_figure: Matrix

    def sample(self, u: NDArray[np.float32], v: NDArray[np.float32]) -> tuple[NDArray, NDArray[np.float32]]:
        """Colour (h, w, 3) uint8 and alpha (h, w) 0..255 at the picture's pixels (u, v), both (h, w)."""
        colour = cv2.remap(self.colour, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if self.alpha is None:
            return colour, np.full(u.shape, 255, np.float32)
        alpha = cv2.remap(self.alpha, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return colour, alpha.astype(np.float32)


@dataclass(frozen=True)
class Layer:
    """A picture that moves; ``object_id`` 0 is not annotated.

    ``shots``: one picture, or one per frame where the layer is cut from a video (frame t shows the t-th); the
    motion within such a cut-out is not known, so its flow is not either.
    """

    shots: Sequence[Shot]
    path: Path
    part: Part | None = None
    bend: Bend | None = None
    object_id: int = 0

    def shot(self, t: float) -> Shot:
        return self.shots[min(max(int(t), 0), len(self.shots) - 1)]

    def _inner(self, t: float) -> Matrix:
        """Picture pixels -> figure units, before the bend."""
        to_figure = self.shot(t).to_figure
        if self.part is None:
            return to_figure
        p = self.part
        angle = p.rest + p.swing * np.sin(p.rate * t + p.phase) + p.spin * t
        return chain(pose(*p.joint, angle=angle), to_figure)

    def to_image(self, material: Points, t: float) -> Points:
        points = apply(self._inner(t), material)
        if self.bend is not None:
            points = self.bend.forward(points, t)
        return apply(self.path.matrix(t), points)

    def to_material(self, image: Points, t: float) -> Points:
        points = apply(inverse(self.path.matrix(t)), image)
        if self.bend is not None:
            points = self.bend.backward(points, t)
        return apply(inverse(self._inner(t)), points)

    def window(self, t: float, size: tuple[int, int]) -> tuple[slice, slice]:
        """The pixels (rows, columns) of a frame of ``size`` (H, W) that the picture may touch."""
        alpha = self.shot(t).alpha
        if alpha is None:
            return slice(0, size[0]), slice(0, size[1])
        height, width = alpha.shape
        side = np.linspace(0, 1, 9)
        ends = np.zeros_like(side)
        rim = np.array([[*side, *side, *ends, *ends + 1], [*ends, *ends + 1, *side, *side]])  # (2, 36)
        points = self.to_image(rim * [[width - 1], [height - 1]], t)
        low, high = np.floor(points.min(1)).astype(int) - 2, np.ceil(points.max(1)).astype(int) + 3
        low, high = np.clip(low, 0, size[::-1]), np.clip(high, 0, size[::-1])
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def sprite_layer(sprite: Sprite, part: Part, bend: Bend | None, path: Path, object_id: int = 0) -> Layer:
    """A painted part of a figure as a layer."""
    scale = 1 / sprite.density
    to_figure = np.array([[scale, 0, sprite.origin[0]], [0, scale, sprite.origin[1]]])
    return Layer((Shot(sprite.colour, sprite.alpha, to_figure),), path, part, bend, object_id)


@dataclass(frozen=True)
class Rendering:
    """What one time looks like: ``image`` (H, W, 3) float32 0..255, ``mask`` (H, W) uint8 object ids,
    ``layer`` (H, W) uint8, the index of the visible layer, and ``material`` (2, H, W), where on it.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    layer: NDArray[np.uint8]
    material: Points


def render(layers: Sequence[Layer], t: float, size: tuple[int, int]) -> Rendering:
    """Draws the layers from back to front; a pixel belongs to the last layer that covers at least half of it.

    The first layer must cover every pixel.
    """
    height, width = size
    image = np.zeros((height, width, 3), np.float32)
    mask, visible = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    material = np.zeros((2, height, width), np.float32)
    grid = pixel_grid(height, width)
    for index, layer in enumerate(layers):
        rows, columns = layer.window(t, size)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        at = layer.to_material(grid[:, rows, columns], t)  # (2, h, w)
        shot = layer.shot(t)
        colour, alpha = shot.sample(at[0], at[1])
        if shot.alpha is None:
            image[:], mask[:], visible[:], material[:] = colour, layer.object_id, index, at
            continue
        image[rows, columns] += (colour - image[rows, columns]) * (alpha[..., None] / np.float32(255))
        cover = alpha >= 128
        np.copyto(mask[rows, columns], layer.object_id, where=cover)
        np.copyto(visible[rows, columns], index, where=cover)
        np.copyto(material[:, rows, columns], at, where=cover)
    return Rendering(image, mask, visible, material)


def pixel_grid(height: int, width: int) -> NDArray[np.float32]:
    """(2, H, W) float32: the x and y index of every pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y]).astype(np.float32)


def exact_flow(layers: Sequence[Layer], rendering: Rendering, t: float, other: float) -> NDArray[np.float32]:
    """F_{t->other} (2, H, W) float32 on the grid of ``rendering``, the picture of time t.

    At a pixel of a surface that is hidden or outside at ``other`` the flow still says where that surface is.
    """
    height, width = rendering.mask.shape
    target = np.empty((2, height, width), np.float32)
    for index in np.unique(rendering.layer):
        layer = layers[index]
        rows, columns = layer.window(t, (height, width))
        here = rendering.layer[rows, columns] == index
        moved = layer.to_image(rendering.material[:, rows, columns], other)
        np.copyto(target[:, rows, columns], moved, where=here)
    return target - pixel_grid(height, width)
