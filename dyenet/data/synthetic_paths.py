"""Where things go in a made video: smooth random ways of a camera and of objects, one value per knot."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

KNOT = 10.0
"""Frames between two knots of a path."""


class Paths:
    """Draws the paths of one scene of ``num_frames`` frames of ``size`` (H, W); ``pace`` is its liveliness.

    A path is (knots, 6): the arguments of ``pose`` in the order x, y, log scale, angle, log aspect, shear.
    """

    def __init__(self, rng: Generator, num_frames: int, size: tuple[int, int]) -> None:
        self.rng, self.num_frames = rng, num_frames
        self.height, self.width = size
        self.pace = rng.uniform(0.3, 1.5)
        self.knots = np.arange(-1, np.ceil(num_frames / KNOT) + 2) * KNOT

    def spline(self, values: NDArray[np.float64]) -> CubicSpline:
        """A smooth curve through one row of ``values`` per knot."""
        return CubicSpline(self.knots, values)

    def still(self, x: float, y: float) -> NDArray[np.float64]:
        """Stays at (x, y)."""
        return np.tile([x, y, 0.0, 0, 0, 0], (len(self.knots), 1))

    def shake(self) -> CubicSpline:
        """The hand's tremble: small, quick, the same for everything in view."""
        times = np.arange(-4, self.num_frames + 5, 2.0)
        strength = self.rng.choice([0.0, 1.0, 3.0], p=[0.4, 0.4, 0.2])
        values = self.rng.normal(0, 1, (len(times), 4)) * strength * [0.6, 0.6, 0.0005, 0.001]
        return CubicSpline(times, values)

    def drift(self) -> NDArray[np.float64]:
        """The camera's own way, (knots, 4) pose values of the world: a random walk of pan, zoom and roll."""
        step = self.rng.normal(0, 1, (len(self.knots), 4)) + self.rng.normal(0, 1, 4)
        strength = (
            self.pace
            * self.rng.uniform(0, 1)
            * np.array([0.06 * self.width, 0.02 * self.height, 0.03, 0.015])
        )
        walk = np.cumsum(step * strength, 0)
        return walk - walk[1]

    def wander(self, radius: float, leave: bool) -> NDArray[np.float64]:
        """(knots, 6) pose values of an object that wanders in view; with ``leave`` it goes and comes back."""
        rng, n = self.rng, len(self.knots)
        room = np.array([self.width, self.height])
        place = rng.uniform(0.18, 0.82, 2) * room
        heading = rng.normal(0, 1, 2) * [1.5, 0.7]
        places = []
        for _ in range(n):
            places.append(place)
            heading = 0.7 * heading + rng.normal(0, 0.7, 2) * [1.5, 0.7]
            place = place + heading * self.pace * 0.07 * self.width
            # Turn back at the rim of the view.
            for axis in (0, 1):
                if not 0.1 * room[axis] < place[axis] < 0.9 * room[axis]:
                    place[axis] = np.clip(place[axis], 0.1 * room[axis], 0.9 * room[axis])
                    heading[axis] *= -1
        out = np.array(places)
        if leave:
            middle = (self.knots > 0.35 * self.num_frames) & (self.knots < 0.65 * self.num_frames)
            middle[n // 2] = True
            side = rng.choice([-1.0, 1.0])
            out[middle, 0] = self.width / 2 + side * (self.width / 2 + 1.6 * radius)
        return self.posed(out)

    def posed(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Adds log scale, angle, log aspect and shear (all smooth random) to places (knots, 2)."""
        n, rng = len(places), self.rng
        spin = rng.normal(0, 0.5) if rng.random() < 0.15 else 0.0
        angle = rng.normal(0, 0.25) + np.cumsum(rng.normal(0, 0.06, n)) + spin * np.arange(n)
        scale = np.clip(np.cumsum(rng.normal(0, 0.09, n) * self.pace), -0.5, 0.5)
        rest = np.stack([scale, angle, rng.normal(0, 0.05, n), rng.normal(0, 0.06, n)], -1)
        return np.concatenate([places, rest], 1)

    def behind(self, half: float, x: float) -> tuple[NDArray[np.float64], float]:
        """A straight walk that passes ``x`` (pixels) in the middle of the scene, and half the width of what hides
        an object, itself ``half`` wide (pixels), there for some frames."""
        rng = self.rng
        middle = self.num_frames * rng.uniform(0.42, 0.58)
        speed = max(0.6 * self.width / self.num_frames, 2.6 * half / (0.35 * self.num_frames))
        across = x + rng.choice([-1.0, 1.0]) * speed * (self.knots - middle)
        along = self.height * rng.uniform(0.35, 0.65) + np.cumsum(
            rng.normal(0, 0.01 * self.height, len(across))
        )
        values = self.posed(np.stack([across, along], -1))
        values[:, 2] = np.clip(values[:, 2], -0.1, 0.0)  # it may not outgrow what hides it
        values[:, 4:] = 0
        return values, 1.15 * half + 2 * speed
