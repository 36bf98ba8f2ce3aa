"""Synthetic video: exact flow and masks, determinism, guaranteed occlusion and return."""

from __future__ import annotations

import numpy as np
import pytest

from dyenet.data.shapes import Part, ellipse, figure
from dyenet.data.synthetic import SyntheticVideo, demo_clip, generate_clip, save_clip, shows_return
from dyenet.data.synthetic_layers import Bend, chain, inverse, pose
from dyenet.data.synthetic_scene import Scenario
from dyenet.errors import InputError

SIZE = (64, 96)


@pytest.fixture(scope="module")
def clip():
    return generate_clip(3, num_frames=6, size=SIZE, num_objects=3, occlusion=True, leave=True)


def test_shapes_and_types(clip):
    assert clip.frames.shape == (6, *SIZE, 3)
    assert clip.frames.dtype == clip.masks.dtype == np.uint8
    assert clip.flow_backward.shape == clip.flow_forward.shape == (5, 2, *SIZE)
    assert clip.masks.max() <= 3


def test_same_seed_same_clip(clip):
    again = generate_clip(3, num_frames=6, size=SIZE, num_objects=3, occlusion=True, leave=True)
    other = generate_clip(4, num_frames=6, size=SIZE, num_objects=3, occlusion=True, leave=True)
    for name in ("frames", "masks", "layers", "flow_backward", "flow_forward"):
        assert np.array_equal(getattr(clip, name), getattr(again, name))
    assert not np.array_equal(clip.frames, other.frames)


@pytest.mark.parametrize("seed", range(4))
def test_flow_leads_to_the_same_material(seed):
    """x + F_{1->0}(x) is where the surface point seen at x was: rendering its material there agrees."""
    video = SyntheticVideo(seed, num_frames=20, size=SIZE, scenario=Scenario(num_objects=2))
    now = video.render(11)
    flow = video.flow(now, 11, 8)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    source = np.stack([x, y]) + flow.astype(float)
    for index in np.unique(now.layer):
        where = now.layer == index
        material = video.layers[index].to_material(source[:, where], 8)
        assert np.abs(material - now.material[:, where]).max() < 1e-2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_warped_masks_agree_where_visible(seed, direction):
    clip = generate_clip(seed, num_frames=5, size=SIZE, num_objects=3)
    for i in range(4):
        source, target = (i, i + 1) if direction == "backward" else (i + 1, i)
        flow = getattr(clip, f"flow_{direction}")[i]
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        u, v = np.round(x + flow[0]).astype(int), np.round(y + flow[1]).astype(int)
        inside = (u >= 1) & (u < SIZE[1] - 1) & (v >= 1) & (v < SIZE[0] - 1)
        u, v = u.clip(1, SIZE[1] - 2), v.clip(1, SIZE[0] - 2)
        layers = clip.layers[source]
        # Visible and away from rims at both ends: the 3x3 neighbourhood there is of the same surface.
        near = np.stack([layers[v + a, u + b] for a in (-1, 0, 1) for b in (-1, 0, 1)])
        seen = inside & (near == clip.layers[target]).all(0)
        assert seen.mean() > 0.4
        assert np.array_equal(clip.masks[source][v, u][seen], clip.masks[target][seen])


def test_rims_move_with_the_flow():
    """Without other layers, the mask warped by nearest neighbour differs at a few rim pixels (measured: 2.6 %)."""
    wrong = total = 0
    for seed in range(3):
        clip = generate_clip(
            seed,
            num_frames=3,
            size=SIZE,
            num_objects=1,
            distractors=0,
            occluders=0,
            occlusion=False,
            leave=False,
        )
        for i in range(2):
            y, x = np.mgrid[: SIZE[0], : SIZE[1]]
            u, v = (
                np.round(x + clip.flow_backward[i, 0]).astype(int),
                np.round(y + clip.flow_backward[i, 1]).astype(int),
            )
            inside = (u >= 0) & (u < SIZE[1]) & (v >= 0) & (v < SIZE[0])
            warped = clip.masks[i][v.clip(0, SIZE[0] - 1), u.clip(0, SIZE[1] - 1)]
            known = inside & (clip.masks[i + 1] == 1)  # the background beside it may have been hidden
            wrong += int((warped[known] != 1).sum())
            total += int(known.sum())
    assert total > 500
    assert wrong < 0.06 * total


def test_flow_warps_the_picture():
    """The picture of t sampled along the flow resembles that of t+1, far better than unmoved."""
    import cv2

    video = SyntheticVideo(5, num_frames=20, size=SIZE, scenario=Scenario(num_objects=2))
    before, after = video.render(6), video.render(10)
    flow = video.flow(after, 10, 6)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    warped = cv2.remap(before.image, x + flow[0], y + flow[1], cv2.INTER_LINEAR)
    u, v = (x + flow[0]).round().astype(int), (y + flow[1]).round().astype(int)
    inside = (u >= 0) & (u < SIZE[1]) & (v >= 0) & (v < SIZE[0])
    seen = inside & (before.layer[v.clip(0, SIZE[0] - 1), u.clip(0, SIZE[1] - 1)] == after.layer)
    moved = np.abs(warped - after.image).mean(-1)[seen].mean()
    unmoved = np.abs(before.image - after.image).mean(-1)[seen].mean()
    assert moved < 0.5 * unmoved


def test_bend_is_inverted_exactly():
    bend = Bend((0.1, 0.2), (3.0, 2.0), (0.1, -0.3), (0.5, 1.0))
    points = np.random.default_rng(0).normal(size=(2, 50))
    assert np.allclose(bend.backward(bend.forward(points, 3.0), 3.0), points, atol=1e-12)


def test_affine_maps():
    a, b = pose(3, 4, 0.2, 0.5, 0.1, -0.2), pose(-1, 2, -0.4, 1.5)
    assert np.allclose(chain(a, inverse(a)), [[1, 0, 0], [0, 1, 0]])
    point = np.array([0.3, -0.7, 1.0])
    assert np.allclose(chain(a, b) @ point, a @ np.append(b @ point, 1.0))


def test_no_part_reaches_beyond_the_radius():
    for seed in range(30):
        reach = [
            np.hypot(*p.joint) + np.hypot(*p.outline.T).max() for p in figure(np.random.default_rng(seed))
        ]
        assert max(reach) == pytest.approx(1.0)


def test_part_reaches_are_of_its_outline():
    part = Part(ellipse(2.0, 1.0))
    assert np.abs(part.outline).max(0) == pytest.approx([2.0, 1.0])


def test_demo_clip_hides_an_object_and_shows_it_again():
    clip = demo_clip(1, size=(80, 144))
    assert len(clip) >= 40
    areas = np.stack([(clip.masks == k).sum((1, 2)) for k in (1, 2, 3)])
    assert (areas[:, 0] > 0).all()
    hidden = areas == 0
    back = [
        k
        for k in range(3)
        if hidden[k].any() and areas[k, np.flatnonzero(hidden[k])[-1] + 1 :].max(initial=0) > 0
    ]
    assert back


def test_shows_return_needs_a_gap_and_a_return():
    masks = np.zeros((12, 10, 10), np.uint8)
    masks[:, :3, :3] = 1
    assert not shows_return(masks, 1)
    masks[4:7] = 0
    assert shows_return(masks, 1)
    masks[7:] = 0
    assert not shows_return(masks, 1)
    masks[6:] = 0
    masks[7:, :3, :3] = 1
    masks[4:6, 5, 5] = 1
    assert not shows_return(masks, 1)  # away for one frame only


def test_leaving_object_is_away_and_returns():
    found = 0
    for seed in range(4):
        clip = generate_clip(
            seed,
            num_frames=40,
            size=(48, 64),
            num_objects=1,
            distractors=0,
            occluders=0,
            occlusion=False,
            leave=True,
        )
        area = (clip.masks == 1).sum((1, 2))
        found += int(area[0] > 0 and (area[14:26] == 0).any() and area[30:].max() > 0)
    assert found >= 3


def test_distractors_are_drawn_but_not_annotated():
    video = SyntheticVideo(0, num_frames=4, size=SIZE, scenario=Scenario(num_objects=1, distractors=2))
    assert {layer.object_id for layer in video.layers} == {0, 1}
    pictures = [layer.shots[0].colour for layer in video.layers if layer.object_id == 1]
    copies = [
        sum(layer.shots[0].colour is p for layer in video.layers if layer.object_id == 0) for p in pictures
    ]
    assert copies == [2] * len(pictures)


def test_too_short_demo_and_too_small_frames_are_refused():
    with pytest.raises(InputError, match="40"):
        demo_clip(0, num_frames=10)
    with pytest.raises(InputError, match="32x32"):
        generate_clip(0, num_frames=3, size=(16, 64))


def test_save_clip_writes_a_davis_tree(clip, tmp_path):
    from PIL import Image

    save_clip(clip, tmp_path, "one")
    save_clip(clip, tmp_path, "two")
    assert (tmp_path / "ImageSets/2017/val.txt").read_text().split() == ["one", "two"]
    mask = np.array(Image.open(tmp_path / "Annotations/480p/one/00003.png"))
    assert np.array_equal(mask, clip.masks[3])
    assert np.array(Image.open(tmp_path / "JPEGImages/480p/two/00005.jpg")).shape == (*SIZE, 3)
