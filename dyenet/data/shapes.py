"""Figures of several parts: outlines, the joints that hold them together, and their textured pictures.

Coordinates of a figure are in units of its radius: (0, 0) is its middle, x right, y down, and no part reaches
further than 1 from the middle at rest or in motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dyenet.data.textures import Picture, noise, palette, photo_texture, texture

Outline = NDArray[np.float64]
"""(N, 2) corners of a closed outline, (x, y)."""


@dataclass(frozen=True)
class Part:
    """One rigid part: its ``outline`` about the joint, the joint's place in the figure, and how it turns there.

    Its angle at time t is ``rest + swing * sin(rate * t + phase) + spin * t``, in radians, t in frames.
    """

    outline: Outline
    joint: tuple[float, float] = (0.0, 0.0)
    rest: float = 0.0
    swing: float = 0.0
    rate: float = 0.0
    phase: float = 0.0
    spin: float = 0.0


def ellipse(a: float, b: float, power: float = 2.0) -> Outline:
    """A superellipse of half axes a, b; ``power`` 2 is an ellipse, 5 a rounded box."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack(
        [a * np.sign(c) * np.abs(c) ** (2 / power), b * np.sign(s) * np.abs(s) ** (2 / power)], -1
    )


def limb(length: float, width: float, taper: float = 0.6) -> Outline:
    """A rounded bar hanging down (+y) from the joint, ``width`` thick there and ``taper * width`` at its end."""
    bow = np.linspace(0, np.pi, 12)
    top = np.stack([np.cos(bow + np.pi), np.sin(bow + np.pi)], -1) * width / 2
    end = np.stack([np.cos(bow), np.sin(bow)], -1) * width / 2 * taper + [0, length]
    return np.concatenate([top, end])


def blob(rng: Generator, a: float, b: float, roughness: float = 0.15) -> Outline:
    """An ellipse with a wavy rim."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 8):
        radius += roughness * rng.normal() / (k - 1) * np.sin(k * angle + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.35, 1.6)
    return np.stack([a * radius * np.cos(angle), b * radius * np.sin(angle)], -1)


def polygon(rng: Generator, a: float, b: float) -> Outline:
    """A convex or star-like polygon with 3 to 8 corners."""
    corners = int(rng.integers(3, 9))
    angle = (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) / corners * 2 * np.pi
    radius = rng.uniform(0.6, 1.0, corners)
    return np.stack([a * radius * np.cos(angle), b * radius * np.sin(angle)], -1)


def _gait(rng: Generator, low: float = 0.2, high: float = 0.6) -> dict[str, float]:
    return {"swing": rng.uniform(low, high), "rate": rng.uniform(0.15, 0.6), "phase": rng.uniform(0, 6.3)}


def _animal(rng: Generator) -> list[Part]:
    a, b = rng.uniform(0.8, 1.1), rng.uniform(0.35, 0.6)
    length, width = rng.uniform(0.5, 1.0), rng.uniform(0.14, 0.25)
    legs = [Part(limb(length, width), (x * a, b * 0.5), **_gait(rng)) for x in (-0.7, 0.65, -0.55, 0.75)]
    head = Part(blob(rng, 0.4, 0.32, 0.08), (a * 0.95, -b * 0.8), **_gait(rng, 0.05, 0.3))
    neck = Part(limb(b * 1.2, 0.3, 1.2), (a * 0.95, -b * 0.9), rest=rng.uniform(0.3, 0.9))
    ear = Part(limb(0.3, 0.14, 0.3), (a * 0.85, -b * 0.95), rest=np.pi - 0.3, **_gait(rng, 0.1, 0.3))
    tail = Part(
        limb(rng.uniform(0.4, 0.9), 0.12, 0.4), (-a * 0.95, -b * 0.2), rest=rng.uniform(0.4, 2), **_gait(rng)
    )
    body = Part(ellipse(a, b, rng.uniform(2, 3)))
    return [*legs[:2], tail, neck, body, *legs[2:], ear, head]


def _person(rng: Generator) -> list[Part]:
    b, width = rng.uniform(0.5, 0.65), rng.uniform(0.28, 0.42)
    leg, arm = rng.uniform(0.7, 0.95), rng.uniform(0.5, 0.75)
    legs = [Part(limb(leg, width * 0.6, 0.6), (s * width * 0.45, b * 0.8), **_gait(rng)) for s in (-1, 1)]
    arms = [
        Part(limb(arm, width * 0.4, 0.7), (s * width * 0.9, -b * 0.75), rest=-s * 0.3, **_gait(rng, 0.3, 0.9))
        for s in (-1, 1)
    ]
    head = Part(ellipse(0.19, 0.24), (0, -b * 1.3), **_gait(rng, 0.05, 0.2))
    return [arms[0], *legs, Part(ellipse(width, b, 3)), head, arms[1]]


def _vehicle(rng: Generator) -> list[Part]:
    a, b, wheel = rng.uniform(0.9, 1.2), rng.uniform(0.25, 0.45), rng.uniform(0.2, 0.3)
    spin = rng.uniform(0.1, 0.5)
    cabin = Part(ellipse(a * 0.55, b, 4), (rng.uniform(-0.3, 0.2), -b * 1.1))
    window = Part(ellipse(a * 0.3, b * 0.4, 5), (rng.uniform(-0.2, 0.1), -b * 1.35))
    wheels = [Part(ellipse(wheel, wheel), (s * a * 0.6, b * 0.95), spin=spin) for s in (-1, 1)]
    return [cabin, window, Part(ellipse(a, b, 5)), *wheels]


def _flyer(rng: Generator) -> list[Part]:
    a, b = rng.uniform(0.6, 0.9), rng.uniform(0.22, 0.4)
    wings = [
        Part(limb(rng.uniform(0.7, 1.0), 0.5, 0.4), (0, 0), rest=rest, **_gait(rng, 0.3, 0.8))
        for rest in (np.pi * 0.9, rng.uniform(0.2, 1.0))
    ]
    tail = Part(limb(0.5, 0.15, 2.5), (-a * 0.85, 0), rest=np.pi / 2, **_gait(rng))
    head = Part(ellipse(0.28, 0.24), (a * 0.95, -b * 0.5))
    return [wings[0], tail, Part(ellipse(a, b)), head, wings[1]]


def _creature(rng: Generator) -> list[Part]:
    body = Part(blob(rng, rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9)))
    parts: list[Part] = []
    for _ in range(int(rng.integers(2, 6))):
        angle = rng.uniform(0, 2 * np.pi)
        outline = limb(rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.35), rng.uniform(0.3, 1.3))
        parts.append(
            Part(outline, (0.5 * np.cos(angle), 0.5 * np.sin(angle)), rest=angle - np.pi / 2, **_gait(rng))
        )
    spots = [
        Part(blob(rng, 0.2, 0.2), (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)))
        for _ in range(int(rng.integers(0, 3)))
    ]
    return [*parts[1:], body, *parts[:1], *spots]


def _thing(rng: Generator) -> list[Part]:
    a, b = rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0)
    outline = polygon(rng, a, b) if rng.random() < 0.5 else blob(rng, a, b, rng.uniform(0.05, 0.3))
    label = ellipse(a * rng.uniform(0.2, 0.4), b * rng.uniform(0.2, 0.4), rng.uniform(2, 6))
    return [Part(outline), Part(label, (rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)))]


FIGURES = (_animal, _person, _vehicle, _flyer, _creature, _thing)


def figure(rng: Generator) -> list[Part]:
    """The parts of a random figure, from back to front, scaled so that no part reaches further than 1."""
    parts = FIGURES[int(rng.integers(len(FIGURES)))](rng)
    reach = max(np.hypot(*p.joint) + np.hypot(*p.outline.T).max() for p in parts)
    mirror = rng.choice([-1.0, 1.0])
    scale = np.array([mirror, 1.0]) / reach
    return [
        replace(
            p,
            outline=p.outline * scale,
            joint=(p.joint[0] * scale[0], p.joint[1] * scale[1]),
            rest=p.rest * mirror,
            swing=p.swing * mirror,
        )
        for p in parts
    ]


@dataclass(frozen=True)
class Sprite:
    """A part's picture: ``colour`` (h, w, 3) uint8, ``alpha`` (h, w) uint8, and its pixels in figure units.

    Pixel centre (x, y) of the picture lies at ``(x, y) / density + origin`` about the part's joint.
    """

    colour: Picture
    alpha: NDArray[np.uint8]
    density: float
    origin: tuple[float, float]


def draw_figure(
    rng: Generator,
    parts: Sequence[Part],
    radius: float,
    photos: Sequence[Picture] = (),
    scale: float | None = None,
) -> list[Sprite]:
    """Paints the parts of a figure of ``radius`` pixels in common colours; ``scale``: its features, in pixels."""
    colours = [palette(rng, int(rng.integers(2, 5))) for _ in range(2)]
    from_photo = len(photos) > 0 and rng.random() < 0.5
    scale = radius * rng.uniform(0.2, 0.8) if scale is None else scale
    return [
        _draw_part(rng, p, radius, scale, colours[int(rng.random() < 0.3)], photos if from_photo else ())
        for p in parts
    ]


def _draw_part(
    rng: Generator,
    part: Part,
    density: float,
    scale: float,
    colours: NDArray[np.float32],
    photos: Sequence[Picture],
) -> Sprite:
    margin = 3 / density
    low, high = part.outline.min(0) - margin, part.outline.max(0) + margin
    width, height = (np.ceil((high - low) * density).astype(int) + 1).tolist()
    corners = (part.outline - low) * density
    large = np.zeros((2 * height, 2 * width), np.uint8)
    cv2.fillPoly(large, [np.round((2 * corners + 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    alpha = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if photos and rng.random() < 0.7:
        colour = photo_texture(rng, (height, width), photos)
    else:
        colour = texture(rng, (height, width), scale, colours)
    return Sprite(_shade(rng, colour, alpha), alpha, density, (float(low[0]), float(low[1])))


def _shade(rng: Generator, colour: Picture, alpha: NDArray[np.uint8]) -> Picture:
    """Light from one side on a rounded body: its height grows from the rim inwards."""
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    top = max(float(depth.max()), 1.0)
    height = np.sqrt(np.clip(depth / top, 0, 1)) * top * rng.uniform(0.2, 0.7)
    height = cv2.GaussianBlur(height + 1.5 * noise(rng, alpha.shape, 8, 3), (0, 0), max(1.0, top * 0.12))
    gy, gx = np.gradient(height)
    angle = rng.uniform(-np.pi, 0)  # from above
    slope = -(gx * np.cos(angle) + gy * np.sin(angle))
    light = np.clip(1.0 + rng.uniform(0.2, 0.6) * slope, 0.35, 1.6)[..., None]
    return np.clip(colour * light, 0, 255).astype(np.uint8)
