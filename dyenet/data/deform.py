"""Affine and thin-plate-spline deformation of a picture and its mask, with the exact flow.

MaskTrack (Perazzi et al., CVPR 2017) and Lucid Data Dreaming make a second frame, or a worn mask, out of one
annotated picture (facts, section 4). A ``Deformation`` maps pixel x of the new frame to where the old frame
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
from dyenet.data.synthetic_layers import Matrix, Points, apply
from dyenet.data.textures import Picture


class ThinPlateSpline:
    """The smoothest map that takes ``source`` (P, 2) to ``target`` (P, 2) (Bookstein 1989): an affine map plus
    sum_i w_i U(|x - s_i|), U(r) = r^2 log r. Points on one line are allowed (least-norm solution)."""

    def __init__(self, source: Points, target: Points) -> None:
        self.source = np.asarray(source, float)
        self.origin = self.source.mean(0)
        self.unit = max(float(np.abs(self.source - self.origin).max()), 1.0)  # keeps the system well scaled
        at = (self.source - self.origin) / self.unit
        n = len(at)
        affine = np.concatenate([np.ones((n, 1)), at], 1)  # (P, 3)
        system = np.block([[self._bulge(at, at), affine], [affine.T, np.zeros((3, 3))]])
        wanted = np.concatenate([np.asarray(target, float) - self.source, np.zeros((3, 2))])
        self.weights = np.linalg.lstsq(system, wanted, rcond=1e-10)[0]  # (P + 3, 2)

    @staticmethod
    def _bulge(points: Points, centres: Points) -> NDArray[np.float64]:
        squared = ((points[..., None, :] - centres) ** 2).sum(-1)
        return 0.5 * squared * np.log(np.maximum(squared, 1e-20))

    def __call__(self, points: Points) -> Points:
        """(..., 2) -> (..., 2)."""
        at = (points - self.origin) / self.unit
        centres = (self.source - self.origin) / self.unit
        moved = self._bulge(at, centres) @ self.weights[:-3]
        return points + moved + self.weights[-3] + at @ self.weights[-2:]


@dataclass(frozen=True)
class Deformation:
    """x of the new frame -> ``spline(matrix x)`` of the old one, pixel indices."""

    matrix: Matrix
    spline: ThinPlateSpline | None = None

    def __call__(self, points: Points) -> Points:
        points = apply(self.matrix, points)
        return points if self.spline is None else self.spline(points)


def about(centre: Points, scale: float, angle: float, shift: Points) -> Matrix:
    """Scale and turn (radians) about ``centre``, then move by ``shift``."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    return np.concatenate([linear, (centre + shift - linear @ centre)[:, None]], axis=1)


def pixel_grid(height: int, width: int) -> Points:
    """(H, W, 2): the (x, y) index of every pixel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], -1).astype(float)


def warp_picture(picture: Picture, points: Points) -> Picture:
    """``picture`` sampled bilinearly at ``points`` (H, W, 2); mirrored beyond its rim."""
    at = points.astype(np.float32)
    out = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return out.astype(np.uint8, copy=False)


def warp_mask(mask: IndexMask, points: Points, *, mirror: bool = False) -> IndexMask:
    """``mask`` at the pixel nearest to ``points`` (H, W, 2); beyond the rim 0, or mirrored like the picture."""
    at = points.astype(np.float32)
    border = cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT
    out = cv2.remap(mask, at[..., 0], at[..., 1], cv2.INTER_NEAREST, borderMode=border)
    return out.astype(np.uint8, copy=False)


def random_deformation(
    rng: Generator,
    size: tuple[int, int],
    *,
    scale: float = 0.05,
    shift: float = 0.1,
    rotation: float = 0.05,
    tps: float = 0.1,
) -> Deformation:
    """MSK's: scale +-5 %, shift +-10 % of the height and width, thin plate of 5 points moved by up to 10 %.

    ``rotation`` is in radians. ``size`` (H, W) is that of the frame or object.
    """
    height, width = size
    extent = np.array([width, height], float)
    matrix = about(
        extent / 2,
        1 + rng.uniform(-scale, scale),
        rng.uniform(-rotation, rotation),
        rng.uniform(-shift, shift, 2) * extent,
    )
    if tps == 0:
        return Deformation(matrix)
    anchors = rng.uniform(0.1, 0.9, (5, 2)) * extent
    return Deformation(matrix, ThinPlateSpline(anchors, anchors + rng.uniform(-tps, tps, (5, 2)) * extent))


def deform_pair(
    picture: Picture, mask: IndexMask, deformation: Deformation
) -> tuple[Picture, IndexMask, NDArray[np.float32]]:
    """The deformed picture and mask and F_{deformed -> given}, (2, H, W) float32 in pixels."""
    grid = pixel_grid(*mask.shape)
    points = deformation(grid)
    flow = (points - grid).transpose(2, 0, 1).astype(np.float32)
    return warp_picture(picture, points), warp_mask(mask, points, mirror=True), flow


@dataclass(frozen=True)
class Motion:
    """A smooth random motion: ``deformations[t]`` takes frame t+1 to frame t."""

    deformations: list[Deformation]

    def to_first(self, points: Points, t: int) -> Points:
        """Where points (..., 2) of frame t lie in frame 0."""
        for deformation in reversed(self.deformations[:t]):
            points = deformation(points)
        return points


def random_motion(rng: Generator, num_frames: int, size: tuple[int, int], *, strength: float = 1.0) -> Motion:
    """``num_frames`` - 1 steps of affine + thin-plate motion that resemble each other.

    At ``strength`` 1 one step is at most: scale 5 %, shift 6 %, turn 4 degrees, thin plate 3 % of the size.
    """
    extent = np.array(size[::-1], float)
    anchors = rng.uniform(0.1, 0.9, (5, 2)) * extent
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
    their middle. What lies beyond them is the mirrored picture, background.
    """
    corner = np.array([mask.shape[1] - size[1], mask.shape[0] - size[0]]) / 2
    grid = pixel_grid(*size)
    frames, masks, flow = [], [], np.zeros((len(motion.deformations), 2, *size), np.float32)
    for t in range(len(motion.deformations) + 1):
        points = motion.to_first(grid, t) + corner
        frames.append(warp_picture(picture, points))
        masks.append(warp_mask(mask, points))
        if t > 0:
            flow[t - 1] = (motion.deformations[t - 1](grid) - grid).transpose(2, 0, 1)
    return np.stack(frames), np.stack(masks), flow


def deform_mask(
    rng: Generator, mask: NDArray[np.bool_], *, tps: float = 0.1, dilation: int = 5
) -> NDArray[np.bool_]:
    """Wears a true mask (H, W) down to what a first estimate looks like (MSK, Sec. 3.1).

    5 points of its outer boundary move by up to ``tps`` of the object's width and height and a thin plate
    follows them; then the mask grows by a disk of radius ``dilation`` pixels. An empty mask stays empty.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return mask.copy()
    boundary = np.concatenate(contours)[:, 0].astype(float)  # (N, 2)
    extent = boundary.max(0) - boundary.min(0) + 1
    controls = boundary[rng.choice(len(boundary), min(5, len(boundary)), replace=False)]
    moved = controls + rng.uniform(-tps, tps, controls.shape) * extent
    points = ThinPlateSpline(moved, controls)(pixel_grid(*mask.shape))
    worn = warp_mask(mask.astype(np.uint8), points)
    if dilation > 0:
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilation + 1, 2 * dilation + 1))
        worn = cv2.dilate(worn, disk).astype(np.uint8, copy=False)
    return worn > 0
