"""Composites: exact masks of pasted objects, occlusion and return, and the files they are made of."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dyenet.data.clips_files import (
    find_images,
    find_videos,
    list_pictures,
    pick_ids,
    read_picture,
    save_sequence,
)
from dyenet.data.compositing import (
    NO_SHAKE,
    CutOut,
    background_layers,
    compose_video,
    cut_out_layer,
    draw_layers,
    extent_of,
    inpaint,
    scaling,
    show_well,
)
from dyenet.data.masks import read_labels, write_index_mask
from dyenet.data.synthetic import shows_return
from dyenet.data.synthetic_layers import STILL, Path
from dyenet.data.synthetic_paths import Paths
from dyenet.errors import InputError


def still_path(x, y, before):
    paths = Paths(np.random.default_rng(0), 10, (40, 60))
    return Path(paths.spline(paths.still(x, y)), before, NO_SHAKE)


def square(colour, size=12):
    picture = np.full((30, 30, 3), 50, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[5 : 5 + size, 8 : 8 + size] = True
    picture[mask] = colour
    return CutOut([picture], [mask])


def test_cut_out_lands_where_its_path_says():
    """A 12x12 square at its own scale, put at (30, 20): rows 14..25, columns 24..35 of a pixel-centred frame."""
    cut = square((200, 10, 10))
    extent = extent_of(cut)
    assert extent.centres.tolist() == [[14.0, 11.0]]
    assert (extent.reach, extent.half_width) == (pytest.approx(np.hypot(6, 6)), 6.0)
    ground = CutOut([np.full((40, 60, 3), 90, np.uint8)], [])
    layers = background_layers(ground, (40, 60), still_path(29.5, 19.5, STILL))
    layers.append(cut_out_layer(cut, extent, still_path(30, 20, scaling(extent.reach)), object_id=7))
    frames, masks, flow = draw_layers(layers, 2, (40, 60))
    wanted = np.zeros((40, 60), np.uint8)
    wanted[14:26, 24:36] = 7
    inner = np.zeros((40, 60), bool)
    inner[16:24, 26:34] = True
    corners = np.zeros((40, 60), bool)  # the soft rim rounds them
    corners[np.ix_([14, 25], [24, 35])] = True
    assert np.array_equal(masks[0][~corners], wanted[~corners])
    assert (frames[0][inner] == (200, 10, 10)).all()
    assert (frames[0][:10] == 90).all()
    assert np.abs(flow).max() < 1e-4


def test_later_layers_hide_earlier_ones():
    ground = CutOut([np.zeros((40, 60, 3), np.uint8)], [])
    layers = background_layers(ground, (40, 60), still_path(29.5, 19.5, STILL))
    for object_id, size in ((1, 8), (2, 14)):
        cut = square((200, 10, 10), size)
        extent = extent_of(cut)
        layers.append(
            cut_out_layer(cut, extent, still_path(30, 20, scaling(extent.reach)), object_id=object_id)
        )
    _, masks, _ = draw_layers(layers, 1, (40, 60))
    assert set(np.unique(masks)) == {0, 2}


def test_frames_without_the_object_show_nothing():
    cut = square((200, 10, 10))
    gone = CutOut(list(cut.pictures) * 2, [cut.masks[0], np.zeros_like(cut.masks[0])])
    ground = CutOut([np.zeros((40, 60, 3), np.uint8)], [])
    layers = background_layers(ground, (40, 60), still_path(29.5, 19.5, STILL))
    layers.append(cut_out_layer(gone, extent_of(gone), still_path(30, 20, scaling(8.0)), object_id=1))
    _, masks, _ = draw_layers(layers, 2, (40, 60))
    assert (masks[0] == 1).any()
    assert not masks[1].any()


def test_inpainting_leaves_the_rest_and_removes_the_object():
    picture = np.full((60, 80, 3), 100, np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[25:35, 30:50] = True
    picture[mask] = (255, 0, 0)
    filled = inpaint(picture, mask)
    assert np.abs(filled[mask].astype(int) - 100).max() < 30
    assert np.array_equal(filled[:10], picture[:10])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A DAVIS 2016 tree of three short sequences with moving squares and 0/255 masks."""
    root = tmp_path_factory.mktemp("davis")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(3):
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / f"seq{number}").mkdir(parents=True)
        ground = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        for t in range(6):
            mask = np.zeros((48, 64), np.uint8)
            mask[14:34, 20 + 2 * t : 40 + 2 * t] = 255
            picture = np.where(mask[..., None] > 0, np.uint8([80 * number, 200, 60]), ground)
            Image.fromarray(picture).save(root / f"JPEGImages/480p/seq{number}/{t:05d}.jpg")
            Image.fromarray(mask).save(root / f"Annotations/480p/seq{number}/{t:05d}.png")
            lines.append(
                f"/JPEGImages/480p/seq{number}/{t:05d}.jpg /Annotations/480p/seq{number}/{t:05d}.png "
            )
    (root / "ImageSets" / "480p").mkdir(parents=True)
    (root / "ImageSets" / "480p" / "train.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("event", ["leave", "hide"])
def test_composed_video_has_an_object_that_returns(tree, event):
    clip = compose_video(
        1, find_videos(tree, "train"), num_frames=30, num_objects=3, size=(48, 80), event=event
    )
    assert clip.frames.shape == (30, 48, 80, 3)
    assert len(set(clip.sequences)) == 3
    assert set(np.unique(clip.masks[0])) == {0, 1, 2, 3}
    assert shows_return((clip.masks == 3).astype(np.uint8), 1)


@pytest.mark.parametrize(
    "areas", [[5, 20, 20, 20, 0], [4, 20, 20, 20, 0], [20, 20, 0, 0, 0], [20, 20, 20, 0, 0]]
)
def test_a_composite_s_objects_show_well(areas):
    """At least a quarter of the largest area in the first frame, and seen at all in half of the frames."""
    masks = np.zeros((5, 20, 30), np.uint8)
    masks[:, :5, :5] = 1
    for mask, area in zip(masks, areas, strict=True):
        mask[10].flat[:area] = 2
    assert show_well(masks, 2) == (areas in ([5, 20, 20, 20, 0], [20, 20, 20, 0, 0]))


def test_same_seed_same_composite(tree):
    videos = find_videos(tree, "train")
    a, b = (
        compose_video(5, videos, num_frames=20, num_objects=2, size=(48, 80), event="leave") for _ in range(2)
    )
    assert np.array_equal(a.frames, b.frames)
    assert np.array_equal(a.masks, b.masks)


def test_too_few_sequences_are_refused(tree):
    with pytest.raises(InputError, match="sequences"):
        compose_video(0, find_videos(tree, "train"), num_objects=5)


def test_videos_of_a_davis_2016_tree(tree):
    videos = find_videos(tree, "train")
    assert [v.name for v in videos] == ["seq0", "seq1", "seq2"]
    assert all(v.binary and v.num_objects == 1 and len(v.images) == 6 for v in videos)
    assert set(np.unique(videos[0].mask(0))) == {0, 1}


def test_saved_sequence_is_a_davis_2017_tree(tmp_path):
    masks = np.zeros((3, 20, 30), np.uint8)
    masks[:, 3:9, 3:9], masks[:, 12:15, 12:20] = 1, 3
    save_sequence(tmp_path, "a", np.zeros((3, 20, 30, 3), np.uint8), masks)
    (video,) = find_videos(tmp_path, "val")
    assert not video.binary
    assert video.num_objects == 3
    assert np.array_equal(video.mask(2), masks[2])


def test_the_split_chooses_between_the_years_of_one_tree(tmp_path):
    blank = np.zeros((2, 20, 30, 3), np.uint8), np.ones((2, 20, 30), np.uint8)
    for name in ("a", "b"):
        save_sequence(tmp_path, name, *blank)
    (tmp_path / "ImageSets" / "480p").mkdir()
    (tmp_path / "ImageSets" / "480p" / "val.txt").write_text(
        "/JPEGImages/480p/b/00000.jpg /Annotations/480p/b/00000.png\n"
    )
    assert [v.name for v in find_videos(tmp_path, "val")] == ["a", "b"]
    assert [v.name for v in find_videos(tmp_path, "2017/val")] == ["a", "b"]
    assert [v.name for v in find_videos(tmp_path, "480p/val")] == ["b"]


def test_missing_data_set_names_where_it_looked(tmp_path):
    with pytest.raises(InputError, match=r"ImageSets.*train\.txt"):
        find_videos(tmp_path, "train")
    with pytest.raises(InputError, match="images"):
        find_images(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path)):
        list_pictures(tmp_path)


def test_images_and_their_objects(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    mask = np.zeros((20, 20), np.uint8)
    mask[:5, :5], mask[10:, 10:], mask[6, 6], mask[0, 19] = 2, 4, 7, 255
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "images" / "a.jpg")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    (image,) = find_images(tmp_path, min_area=0.01)
    assert image.object_ids == (2, 4)  # 7 is too small
    picked = pick_ids(mask, [4, 2])
    assert set(np.unique(picked)) == {0, 1, 2, 255}
    assert (picked[10:, 10:] == 1).all()


def test_images_in_the_folders_of_voc(tmp_path):
    for folder in ("JPEGImages", "SegmentationObject"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((20, 20), np.uint8)
    mask[:5, :5], mask[10:, 10:], mask[6, 6] = 1, 2, 255
    for name in ("a", "unlabelled"):
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
    write_index_mask(tmp_path / "SegmentationObject" / "a.png", mask)
    (image,) = find_images(tmp_path)
    assert (image.image, image.object_ids) == (tmp_path / "JPEGImages" / "a.jpg", (1, 2))


def test_masks_of_coco(tmp_path):
    square = [2, 2, 12, 2, 12, 12, 2, 12]
    small = [4, 4, 7, 4, 7, 7, 4, 7]
    kinds = [(small, 9.0, 0), (square, 100.0, 0)]
    annotations = [
        dict(id=k, image_id=1, category_id=1, segmentation=[s], area=a, iscrowd=c, bbox=[0, 0, 1, 1])
        for k, (s, a, c) in enumerate(kinds, start=1)
    ]
    images = [dict(id=i, file_name=f"{i}.jpg", height=20, width=20) for i in (1, 2)]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "instances.json").write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name="thing")]))
    )
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "pictures" / "1.jpg")
    script = pathlib.Path(__file__).parents[2] / "scripts" / "coco_masks.py"
    arguments = [tmp_path / "instances.json", tmp_path / "pictures", tmp_path / "out"]
    subprocess.run([sys.executable, script, *arguments], check=True)
    (image,) = find_images(tmp_path / "out")
    mask = read_labels(image.mask)
    assert (mask[3, 3], mask[5, 5], mask[15, 15]) == (1, 2, 0)


def test_corrupt_files_name_themselves(tmp_path):
    broken = tmp_path / "images" / "broken.jpg"
    broken.parent.mkdir()
    (tmp_path / "masks").mkdir()
    broken.write_bytes(b"no picture")
    (tmp_path / "masks" / "broken.png").write_bytes(b"no mask")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        read_picture(broken)
    with pytest.raises(InputError, match=r"broken\.png"):
        find_images(tmp_path)
    with pytest.warns(UserWarning, match="1 masks"), pytest.raises(InputError, match="no image with a mask"):
        find_images(tmp_path, skip_corrupt=True)
