"""Affine and thin-plate-spline deformation of a picture and its mask, with the exact flow.

MaskTrack (Perazzi et al., CVPR 2017) and Lucid Data Dreaming make a second frame, or a worn mask, out of one
annotated picture (their authors' code). A ``Deformation`` maps pixel x of the new frame to where the old frame
shows the same thing, so the flow F_{new -> old} is ``deformation(x) - x``: nothing is ever inverted. A clip is
a chain: frame t+1 is frame t deformed once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dyenet.data.masks import IndexMask
from dyenet.data.synthetic_layers import Matrix, Points, apply, pixel_grid
from dyenet.data.textures import Picture

Corners = NDArray[np.float64]
"""(P, 2) or (2,): (x, y) in pixels."""


class ThinPlateSpline:
    """The smoothest map that takes ``source`` (P, 2) to ``target`` (P, 2) (Bookstein 1989): an affine map plus
    sum_i w_i U(|x - s_i|), U(r) = r^2 log r. Points on one line are allowed (least-norm solution)."""

    def __init__(self, source: Corners, target: Corners) -> None:
        self.origin = source.mean(0)
        self.unit = max(float(np.abs(source - self.origin).max()), 1.0)  # keeps the system well scaled
        self.centres = (source - self.origin) / self.unit
        n = len(source)
        bulge = np.stack([self._bulge(self.centres.T, c) for c in self.centres.tolist()], 1)  # (P, P)
        affine = np.concatenate([np.ones((n, 1)), self.centres], 1)  # (P, 3)
        system = np.block([[bulge, affine], [affine.T, np.zeros((3, 3))]])
        wanted = np.concatenate([target - source, np.zeros((3, 2))])
        self.weights = np.linalg.lstsq(system, wanted, rcond=1e-10)[0]  # (P + 3, 2)

    @staticmethod
    def _bulge(points: Points, centre: list[float]) -> Points:
        """U(|x - centre|) of points (2, ...): (...)."""
        squared = (points[0] - centre[0]) ** 2 + (points[1] - centre[1]) ** 2
        return squared * np.log(np.maximum(squared, 1e-20)) * 0.5

    def __call__(self, points: Points) -> Points:
        """(2, ...) -> (2, ...)."""
        at = np.stack(
            [(points[0] - float(self.origin[0])) / self.unit, (points[1] - float(self.origin[1])) / self.unit]
        )
        *bulges, constant, by_x, by_y = self.weights.tolist()
        out = points.copy()
        for axis in (0, 1):
            out[axis] += constant[axis] + by_x[axis] * at[0] + by_y[axis] * at[1]
        for centre, weight in zip(self.centres.tolist(), bulges, strict=True):
            bulge = self._bulge(at, centre)
            out[0] += weight[0] * bulge
            out[1] += weight[1] * bulge
        return out


@dataclass(frozen=True)
class Deformation:
    """x of the new frame -> ``spline(matrix x)`` of the old one, pixel indices."""

    matrix: Matrix
    spline: ThinPlateSpline | None = None

    def __call__(self, points: Points) -> Points:
        points = apply(self.matrix, points)
        return points if self.spline is None else self.spline(points)


def about(centre: Corners, scale: float, angle: float, shift: Corners) -> Matrix:
    """Scale and turn (radians) about ``centre``, then move by ``shift``."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    return np.concatenate([linear, (centre + shift - linear @ centre)[:, None]], axis=1)


def warp_picture(picture: Picture, points: Points) -> Picture:
    """``picture`` sampled bilinearly at ``points`` (2, H, W); mirrored beyond its rim."""
    at = points.astype(np.float32, copy=False)
    out = cv2.remap(picture, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return out.astype(np.uint8, copy=False)


def warp_mask(mask: IndexMask, points: Points, *, mirror: bool = False) -> IndexMask:
    """``mask`` at the pixel nearest to ``points`` (2, H, W); beyond the rim 0, or mirrored like the picture."""
    at = points.astype(np.float32, copy=False)
    border = cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT
    out = cv2.remap(mask, at[0], at[1], cv2.INTER_NEAREST, borderMode=border)
    return out.astype(np.uint8, copy=False)


def _anchors(rng: Generator, extent: Corners) -> Corners:
    """5 control points about the middle and the corners: were they close together, the rim would fly off."""
    spread = np.array([[0.5, 0.5], [0.2, 0.2], [0.8, 0.2], [0.2, 0.8], [0.8, 0.8]])
    return (spread + rng.uniform(-0.12, 0.12, (5, 2))) * extent


@dataclass(frozen=True)
class Motion:
    """A smooth random motion: ``deformations[t]`` takes frame t+1 to frame t."""

    deformations: list[Deformation]

    def to_first(self, points: Points, t: int) -> Points:
        """Where points (2, ...) of frame t lie in frame 0."""
        for deformation in reversed(self.deformations[:t]):
            points = deformation(points)
        return points


def random_motion(rng: Generator, num_frames: int, size: tuple[int, int], *, strength: float = 1.0) -> Motion:
    """``num_frames`` - 1 steps of affine + thin-plate motion that resemble each other.

    At ``strength`` 1 one step is at most: scale 5 %, shift 6 %, turn 4 degrees, thin plate 3 % of the size.
    """
    extent = np.array(size[::-1], float)
    anchors = _anchors(rng, extent)
    heading = rng.uniform(-1, 1, 4 + 10)
    steps = []
    for _ in range(num_frames - 1):
        now = np.clip(0.7 * heading + 0.3 * rng.uniform(-1, 1, 14), -1, 1) * strength
        matrix = about(extent / 2, 1 + 0.05 * now[0], np.deg2rad(4) * now[1], 0.06 * now[2:4] * extent)
        moved = anchors + 0.03 * now[4:].reshape(5, 2) * extent
        steps.append(Deformation(matrix, ThinPlateSpline(anchors, moved)))
    return Motion(steps)


def deform_clip(
    picture: Picture, mask: IndexMask, motion: Motion, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """T copies of ``size`` (H, W) of one picture: frames (T, H, W, 3), masks (T, H, W), flow (T-1, 2, H, W).

    ``flow[t]`` is F_{t+1 -> t}, exact. The picture and mask may be larger than ``size``: the first frame shows
    their middle. Both are mirrored beyond their rim.
    """
    corner = np.array([mask.shape[1] - size[1], mask.shape[0] - size[0]], np.float32)[:, None, None] / 2
    grid = pixel_grid(*size)
    frames, masks, flow = [], [], np.zeros((len(motion.deformations), 2, *size), np.float32)
    for t in range(len(motion.deformations) + 1):
        points = motion.to_first(grid, t) + corner
        frames.append(warp_picture(picture, points))
        masks.append(warp_mask(mask, points, mirror=True))
        if t > 0:
            flow[t - 1] = motion.deformations[t - 1](grid) - grid
    return np.stack(frames), np.stack(masks), flow


def deform_mask(
    rng: Generator, mask: NDArray[np.bool_], *, tps: float = 0.1, dilation: int = 5
) -> NDArray[np.bool_]:
    """Wears a true mask (H, W) down to what a first estimate looks like (MSK, Sec. 3.1).

    5 points of its outer boundary, one in each fifth of it, move by up to ``tps`` of the object's width and
    height and a thin plate follows them; then the mask grows by a disk of radius ``dilation`` pixels.
    An empty mask stays empty.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return mask.copy()
    boundary = np.concatenate(contours)[:, 0].astype(float)  # (N, 2)
    extent = boundary.max(0) - boundary.min(0) + 1
    fifths = np.array_split(boundary, min(5, len(boundary)))  # one in each: far from one another
    controls = np.stack([part[rng.integers(len(part))] for part in fifths])
    moved = controls + rng.uniform(-tps, tps, controls.shape) * extent
    points = ThinPlateSpline(moved, controls)(pixel_grid(*mask.shape))
    worn = warp_mask(mask.astype(np.uint8), points)
    if dilation > 0:
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilation + 1, 2 * dilation + 1))
        worn = cv2.dilate(worn, disk).astype(np.uint8, copy=False)
    return worn > 0
