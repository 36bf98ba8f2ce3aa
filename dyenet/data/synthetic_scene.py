"""What is in a synthetic scene and where it goes: background, figures, occluders, camera, sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from dyenet.data.shapes import Outline, Part, Sprite, blob, draw_figure, ellipse, figure
from dyenet.data.synthetic_layers import STILL, Bend, Layer, Path, Shot, pixel_grid, sprite_layer
from dyenet.data.synthetic_paths import Paths
from dyenet.data.textures import Map, Picture, noise, photo_texture, texture


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens in a scene; None leaves it to the seed.

    ``occlusion``: object 1 passes behind a pillar that hides it whole; ``leave``: the last object leaves the
    frame in the middle of the scene and returns. ``distractors`` are copies of annotated objects that are not
    annotated; ``occluders`` are foreground things that are not. ``photos``: RGB pictures used among the textures.
    """

    num_objects: int | None = None
    distractors: int | None = None
    occluders: int | None = None
    occlusion: bool | None = None
    leave: bool | None = None
    photos: Sequence[Picture] = ()


def build_scene(rng: Generator, num_frames: int, size: tuple[int, int], scenario: Scenario) -> list[Layer]:
    """The layers of a scene from back to front; annotated objects have ids 1..K."""
    return _Builder(rng, num_frames, size, scenario).build()


class _Builder:
    def __init__(self, rng: Generator, num_frames: int, size: tuple[int, int], scenario: Scenario) -> None:
        self.rng, self.num_frames, self.scenario = rng, num_frames, scenario
        self.height, self.width = size
        self.photos = scenario.photos if rng.random() < 0.7 else ()
        self.paths = Paths(rng, num_frames, size)
        self.shake = self.paths.shake()
        self.camera = self.paths.drift()

    def build(self) -> list[Layer]:
        rng, scenario = self.rng, self.scenario

        def chosen(given: int | None, low: int, high: int) -> int:
            return int(rng.integers(low, high + 1)) if given is None else given

        objects = chosen(scenario.num_objects, 1, 4)
        distractors = chosen(scenario.distractors, 0, 2)
        occluders = chosen(scenario.occluders, 0, 2)
        occlusion = rng.random() < 0.25 if scenario.occlusion is None else scenario.occlusion
        leave = rng.random() < 0.25 if scenario.leave is None else scenario.leave

        figures: list[list[Layer]] = []
        looks: list[tuple[list[Part], list[Sprite], Bend | None, float]] = []
        hider: list[Layer] = []
        for object_id in range(1, objects + 1):
            # Radii, in pixels, shrink with the number of objects.
            crowd = min(1.0, np.sqrt(4 / objects))
            radius = crowd * min(self.height, self.width) * rng.uniform(0.16, 0.2 + 0.3 / objects)
            if object_id == 1 and occlusion:
                radius = min(radius, 0.16 * self.width)
                x = self.width * rng.uniform(0.42, 0.58)
                values, half = self.paths.behind(radius, x)
                hider = self._solid(
                    pillar(rng, half, self.height), self.paths.still(x, self.height / 2), moves=0.0
                )
            else:
                values = self.paths.wander(radius, leave and object_id == objects)
            parts = figure(rng)
            look = (parts, draw_figure(rng, parts, radius * 1.3, self.photos), random_bend(rng), radius)
            looks.append(look)
            figures.append(self._place(look, values, object_id))
        for _ in range(distractors):
            look = looks[int(rng.integers(len(looks)))]
            figures.append(self._place(look, self.paths.wander(look[3], False), 0))
        order = rng.permutation(len(figures))
        layers = [self._background()] + [layer for i in order for layer in figures[i]] + hider
        for _ in range(occluders):
            layers += self._occluder()
        return layers

    def _place(
        self,
        look: tuple[list[Part], list[Sprite], Bend | None, float],
        values: NDArray[np.float64],
        object_id: int,
    ) -> list[Layer]:
        parts, sprites, bend, radius = look
        path = Path(self.paths.spline(values), np.diag([radius, radius, 1.0])[:2], self.shake)
        return [sprite_layer(s, p, bend, path, object_id) for s, p in zip(sprites, parts, strict=True)]

    def _solid(self, outline: Outline, values: NDArray[np.float64], *, moves: float) -> list[Layer]:
        """A foreground thing of one part, outline in pixels; it moves by ``moves`` times the camera's drift."""
        values = values.copy()
        values[:, :4] += moves * self.camera
        path = Path(self.paths.spline(values), STILL, self.shake)
        return [solid_layer(self.rng, outline, path, 0.2 * self.width, self.photos)]

    def _occluder(self) -> list[Layer]:
        """A bush, post or beam in the foreground; it stands in the world or crosses the view."""
        rng = self.rng
        thickness, place = (
            self.width * rng.uniform(0.02, 0.07),
            rng.uniform(0, 1, 2) * [self.width, self.height],
        )
        kind = rng.integers(3)
        if kind == 0:
            outline = ellipse(thickness, self.height, 8.0)
        elif kind == 1:
            outline = ellipse(self.width, thickness * 0.7, 8.0)
            place[1] = self.height * rng.choice([0.08, 0.92])
        else:
            outline = blob(rng, 2.5 * thickness, 3.5 * thickness, 0.3)
        values = self.paths.still(*place)
        if rng.random() < 0.4 and kind != 1:
            values[:, 0] += (
                rng.normal(0, 0.012) * self.width * self.paths.pace * (self.paths.knots - self.num_frames / 2)
            )
        return self._solid(outline, values, moves=rng.uniform(1.0, 1.6))

    def _background(self) -> Layer:
        """One large picture: one to three zones of texture or a photograph, with clutter painted in."""
        rng = self.rng
        shape = (int(self.height * 1.4), int(self.width * 1.4))
        if self.photos and rng.random() < 0.7:
            picture = photo_texture(rng, shape, self.photos)
        else:
            picture = self._ground(shape)
        if rng.random() < 0.25:  # out of focus
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 2.5)).astype(np.uint8, copy=False)
        values = self.paths.still((self.width - 1) / 2, (self.height - 1) / 2)
        values[:, :4] += self.camera
        path = Path(self.paths.spline(values), STILL, self.shake)
        centred = np.array([[1, 0, -shape[1] / 2], [0, 1, -shape[0] / 2]])
        return Layer((Shot(picture, None, centred),), path)

    def _ground(self, shape: tuple[int, int]) -> Picture:
        rng = self.rng
        picture = texture(rng, shape, self.width * rng.uniform(0.06, 0.4))
        for _ in range(int(rng.integers(0, 3))):  # a zone below a rough horizon
            line = shape[0] * rng.uniform(0.25, 0.75)
            rough = noise(rng, (1, shape[1]), (1, shape[1] / 3), 5)[0] * shape[0] * rng.uniform(0, 0.25)
            below = (np.arange(shape[0])[:, None] > line + rough)[..., None]
            picture = np.where(below, texture(rng, shape, self.width * rng.uniform(0.05, 0.3)), picture)
        for _ in range(int(rng.integers(0, 7))):  # figures that stand in the background, not annotated
            parts = figure(rng)
            radius = self.height * rng.uniform(0.05, 0.2)
            place = np.tile([*(rng.uniform(0, 1, 2) * shape[::-1]), 0, rng.normal(0, 0.3), 0, 0], (2, 1))
            path = Path(
                CubicSpline([0, 1], place),
                np.diag([radius, radius, 1.0])[:2],
                CubicSpline([0, 1], np.zeros((2, 2))),
            )
            for part, sprite in zip(parts, draw_figure(rng, parts, radius), strict=True):
                _stamp(picture, sprite_layer(sprite, part, None, path))
        return np.ascontiguousarray(picture)


def random_bend(rng: Generator) -> Bend | None:
    """A gentle bend of a figure, or (three times in ten) none: the figure is stiff."""
    if rng.random() < 0.3:
        return None

    def pair(low: float, high: float) -> tuple[float, float]:
        return rng.uniform(low, high), rng.uniform(low, high)

    return Bend(pair(0.02, 0.14), pair(1.0, 4.0), pair(-0.4, 0.4), pair(0, 6.3))


def pillar(rng: Generator, half: float, height: float) -> Outline:
    """A wavy pillar about its middle, ``half`` as wide as given and higher than a frame of ``height``, in pixels."""
    outline = ellipse(half, 0.75 * height + half, 8.0)
    outline[:, 0] += 0.06 * half * np.sin(outline[:, 1] / half * rng.uniform(2, 5))
    return outline


def solid_layer(
    rng: Generator, outline: Outline, path: Path, scale: float, photos: Sequence[Picture] = ()
) -> Layer:
    """A thing of one part that is not annotated; its outline and the features of its texture are in pixels."""
    part = Part(outline)
    return sprite_layer(draw_figure(rng, [part], 1.0, photos, scale=scale)[0], part, None, path)


def _stamp(picture: Picture, layer: Layer) -> None:
    """Paints a layer as it is at time 0 into a picture, in place."""
    window = layer.window(0.0, picture.shape[:2])
    at = layer.to_material(pixel_grid(*picture.shape[:2])[:, window[0], window[1]], 0.0)
    if not at.size:
        return
    colour, alpha = layer.shots[0].sample(at[0], at[1])
    alpha = alpha[..., None] / np.float32(255)
    picture[window] = (colour * alpha + picture[window] * (1 - alpha)).astype(np.uint8)


class Sensor:
    """What light and camera do to a picture: changing light, a moving shade, blur, noise, JPEG artefacts.

    ``shutter``: how many frames long the exposure is; above 0 moving things are blurred.
    """

    def __init__(self, rng: Generator, num_frames: int) -> None:
        times = np.linspace(-1, num_frames + 1, max(4, num_frames // 8))
        strength = rng.choice([0.0, 0.06, 0.2], p=[0.3, 0.5, 0.2])
        self.gains = CubicSpline(
            times, rng.normal(0, strength, (len(times), 1)) + rng.normal(0, strength * 0.2, (len(times), 3))
        )
        self.shade = rng.uniform(0, 0.3) * (rng.random() < 0.5)
        self.shade_angle, self.shade_rate = rng.uniform(0, 6.3), rng.normal(0, 0.03)
        self.gamma = np.exp(rng.normal(0, 0.15))
        self.blur = rng.uniform(0.3, 1.1) if rng.random() < 0.6 else 0.0
        self.shutter = rng.uniform(0.2, 0.7) if rng.random() < 0.35 else 0.0
        self.noise = rng.choice([0.0, 2.0, 5.0])
        self.quality = int(rng.integers(40, 95)) if rng.random() < 0.5 else 0

    def expose(self, image: NDArray[np.float32], t: float, rng: Generator) -> Picture:
        """(H, W, 3) float32 0..255 -> uint8; ``rng`` makes the noise."""
        height, width = image.shape[:2]
        gains = np.exp(np.clip(self.gains(t), -0.6, 0.6)).astype(np.float32)
        out = np.power(np.clip(image / 255, 0, 1), np.float32(self.gamma)) * (255 * gains)
        if self.shade > 0:
            angle = self.shade_angle + self.shade_rate * t
            x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
            ramp: Map = x[None] * np.float32(np.cos(angle)) + y[:, None] * np.float32(np.sin(angle))
            out *= (1 + np.float32(self.shade) * ramp)[..., None]
        if self.blur > 0:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        if self.noise > 0:
            out = out + rng.normal(0, self.noise, out.shape).astype(np.float32)
        picture = np.clip(out, 0, 255).astype(np.uint8)
        if self.quality:
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return picture
