"""Data sets on miniature trees with the traps of the real ones, and on the real ones where they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dyenet.data.clips_boxes import BoxClips, fill_boxes
from dyenet.data.imagenet_vid import ImageNetVid
from dyenet.data.masks import write_index_mask
from dyenet.data.readers import LAYOUTS, open_dataset
from dyenet.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIZE = (4, 6)


def mask(*values: int) -> np.ndarray:
    """Label ``values[k]`` in row k, background elsewhere."""
    out = np.zeros(SIZE, np.uint8)
    for row, value in enumerate(values):
        out[row] = value
    return out


def image(path: Path, array: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8) if array is None else array).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def given(dataset, sequence: str) -> dict[int, list[int]]:
    """Frame index -> the label of every row, of ``first_masks``."""
    return {frame: labels[:, 0].tolist() for frame, labels in dataset.first_masks(sequence).items()}


# DAVIS


@pytest.fixture
def davis2016(tmp_path: Path) -> Path:
    lines = ""
    for name in ("00000", "00001"):
        image(tmp_path / "JPEGImages" / "480p" / "bear" / f"{name}.jpg")
        image(tmp_path / "Annotations" / "480p" / "bear" / f"{name}.png", mask(255))
        lines += f"/JPEGImages/480p/bear/{name}.jpg /Annotations/480p/bear/{name}.png \n"
    text(tmp_path / "ImageSets" / "480p" / "val.txt", lines)
    return tmp_path


@pytest.fixture
def davis2017(tmp_path: Path) -> Path:
    for name in ("00000", "00001", "00002"):
        image(tmp_path / "JPEGImages" / "480p" / "bike" / f"{name}.jpg")
    write_index_mask(tmp_path / "Annotations" / "480p" / "bike" / "00000.png", mask(1, 2, 255))
    write_index_mask(tmp_path / "Annotations" / "480p" / "bike" / "00001.png", mask(1, 2, 3, 3))
    write_index_mask(tmp_path / "Annotations" / "480p" / "bike" / "00002.png", mask(0, 2))
    text(tmp_path / "ImageSets" / "2017" / "val.txt", "bike\n\n")
    text(tmp_path / "ImageSets" / "2016" / "val.txt", "bike\n")
    return tmp_path


def test_davis2016(davis2016):
    dataset = open_dataset("davis2016", davis2016, "val")
    assert dataset.sequences == ["bear"]
    assert dataset.frame_names("bear") == ["00000", "00001"]
    assert list(dataset.annotations("bear")) == ["00000", "00001"]
    assert np.array_equal(dataset.read_mask("bear", "00001"), mask(1))  # 255 is the object, not void
    assert given(dataset, "bear") == {0: [1, 0, 0, 0]}
    assert dataset.instances("bear") == [1]
    assert len(dataset.video("bear")) == 2
    assert dataset.video("bear").size == SIZE


def test_davis2016_out_of_the_folders_of_davis2017_has_one_object(davis2017):
    dataset = open_dataset("davis2016", davis2017, "val")
    assert np.array_equal(dataset.read_mask("bike", "00001"), mask(1, 1, 1, 1))
    assert dataset.instances("bike") == [1]


def test_davis2017_gives_the_objects_of_the_first_frame(davis2017):
    dataset = open_dataset("davis2017", davis2017, "val")
    assert np.array_equal(
        dataset.read_mask("bike", "00000"), mask(1, 2, 255)
    )  # void is kept for the evaluation
    assert given(dataset, "bike") == {0: [1, 2, 0, 0]}  # and not given as an object
    assert dataset.instances("bike") == [1, 2]


@pytest.mark.parametrize("name", ["synthetic", "composites"])
def test_saved_clips_give_late_objects_when_they_appear(davis2017, name):
    dataset = open_dataset(name, davis2017, "val")
    assert given(dataset, "bike") == {0: [1, 2, 0, 0], 1: [0, 0, 3, 3]}
    assert dataset.instances("bike") == [1, 2, 3]


def test_test_dev_has_a_mask_for_its_first_frame_only(davis2017):
    for name in ("00001", "00002"):
        (davis2017 / "Annotations" / "480p" / "bike" / f"{name}.png").unlink()
    (davis2017 / "ImageSets" / "2017" / "val.txt").rename(davis2017 / "ImageSets" / "2017" / "test-dev.txt")
    dataset = open_dataset("davis2017", davis2017, "test-dev")
    assert dataset.frame_names("bike") == ["00000", "00001", "00002"]
    assert list(dataset.annotations("bike")) == ["00000"]
    with pytest.raises(InputError, match="frame 00001 of sequence bike of davis2017 has no annotation"):
        dataset.read_mask("bike", "00001")


def test_annotations_need_no_images(davis2017):
    for file in (davis2017 / "JPEGImages" / "480p" / "bike").iterdir():
        file.unlink()
    dataset = open_dataset("davis2017", davis2017, "val")
    assert given(dataset, "bike") == {0: [1, 2, 0, 0]}
    assert np.array_equal(dataset.read_mask("bike", "00002"), mask(0, 2))
    with pytest.raises(InputError, match=r"bike of davis2017 has no images: .*480p/bike has no frames"):
        dataset.video("bike")


def test_missing_split_says_where_it_looked(davis2016):
    with pytest.raises(InputError) as error:
        open_dataset("davis2016", davis2016, "test")
    assert str(davis2016 / "ImageSets" / "480p" / "test.txt") in str(error.value)
    assert str(davis2016 / "ImageSets" / "2016" / "test.txt") in str(error.value)


def test_all_missing_sequences_are_in_one_error(davis2017):
    text(davis2017 / "ImageSets" / "2017" / "val.txt", "\n".join(["bike", *"abcdef"]))
    with pytest.raises(InputError, match=r"480p/a, .*480p/d and 2 more; docs/datasets.md"):
        open_dataset("davis2017", davis2017, "val")


def test_unknown_names(davis2017):
    with pytest.raises(InputError, match="no data set 'davis'; there are davis2016, davis2017"):
        open_dataset("davis", davis2017, "val")
    with pytest.raises(InputError, match=r"davis2017 is not at .*nowhere: there is no such folder"):
        open_dataset("davis2017", davis2017 / "nowhere", "val")
    with pytest.raises(InputError, match="davis2017 val has no sequence cow"):
        open_dataset("davis2017", davis2017, "val").video("cow")


# SegTrack v2


@pytest.fixture
def segtrack(tmp_path: Path) -> Path:
    text(tmp_path / "ImageSets" / "all.txt", "*girl\n*penguin\n")
    text(tmp_path / "ImageSets" / "girl.txt", "girl\ngirl_2\ngirl_10\n")
    text(tmp_path / "ImageSets" / "penguin.txt", "penguin\np_0\n")
    for stem in ("girl_2", "girl_10", "girl_99"):  # 99 is not listed
        image(tmp_path / "JPEGImages" / "girl" / f"{stem}.bmp")
        image(tmp_path / "GroundTruth" / "girl" / f"{stem}.bmp", np.stack([mask(255, 100)] * 3, -1))
    image(tmp_path / "JPEGImages" / "penguin" / "p_0.png")
    image(tmp_path / "GroundTruth" / "penguin" / "1" / "p_0.bmp", np.stack([mask(255)] * 3, -1))
    for k in range(2, 11):
        image(tmp_path / "GroundTruth" / "penguin" / str(k) / "p_0.png", mask(0, 255 if k == 10 else 0))
    return tmp_path


def test_segtrack(segtrack):
    dataset = open_dataset("segtrackv2", segtrack, "all")
    assert dataset.sequences == ["girl", "penguin"]
    assert dataset.frame_names("girl") == ["girl_2", "girl_10"]
    assert np.array_equal(dataset.read_mask("girl", "girl_2"), mask(1))  # grey edges below 128 are background
    assert dataset.video("girl")[0].shape == (*SIZE, 3)
    assert given(dataset, "penguin") == {0: [1, 10, 0, 0]}  # folder 10 comes after folder 9


def test_segtrack_names_all_that_is_missing(segtrack):
    (segtrack / "ImageSets" / "girl.txt").unlink()
    (segtrack / "GroundTruth" / "penguin").rename(segtrack / "GroundTruth" / "pinguin")
    with pytest.raises(InputError, match=r"girl\.txt, .*GroundTruth/penguin;"):
        open_dataset("segtrackv2", segtrack, "all")


def test_segtrack_frame_without_truth(segtrack):
    (segtrack / "GroundTruth" / "girl" / "girl_10.bmp").unlink()
    with pytest.raises(InputError, match="GroundTruth/girl/girl_10;"):
        open_dataset("segtrackv2", segtrack, "all").annotations("girl")


# YouTube-Objects


@pytest.fixture
def youtube_objects(tmp_path: Path) -> Path:
    shot = tmp_path / "youtube_masks" / "cat" / "data" / "0001" / "shots" / "003"
    for stem in ("00002", "00012"):
        large = np.kron(mask(0, 255, 255, 255), np.ones((8, 8), np.uint8))  # JPEG would blur single rows
        image(shot / "labels" / f"{stem}.jpg", large)
        image(shot / "images" / f"{stem}.png", np.zeros((32, 48, 3), np.uint8))
    lonely = tmp_path / "youtube_masks" / "cow" / "data" / "0019" / "shots" / "001" / "labels"
    image(lonely / "00001.jpg", mask(255))
    return tmp_path


def test_youtube_objects(youtube_objects):
    dataset = open_dataset("youtube-objects", youtube_objects, "all")
    assert dataset.sequences == ["cat/0001/003"]  # the shot with one annotated frame is left out
    labels = dataset.read_mask("cat/0001/003", "00002")
    assert np.array_equal(labels, np.kron(mask(0, 1, 1, 1), np.ones((8, 8), np.uint8)))
    assert list(dataset.first_masks("cat/0001/003")) == [0]
    assert dataset.instances("cat/0001/003") == [1]
    inside = open_dataset("youtube-objects", youtube_objects / "youtube_masks", "all")
    assert inside.sequences == dataset.sequences


def test_youtube_objects_with_all_frames(youtube_objects):
    shot = youtube_objects / "youtube_masks" / "cat" / "data" / "0001" / "shots" / "003"
    for file in (shot / "images").iterdir():
        file.unlink()
    for number in range(1, 14):
        image(shot / "images" / f"frame{number:04d}.jpg", np.zeros((64, 96, 3), np.uint8))
    dataset = open_dataset("youtube-objects", youtube_objects, "all")
    video = dataset.video("cat/0001/003")
    assert len(video) == 13
    assert video.size == (32, 48)  # that of the labels
    assert video[3].shape == (32, 48, 3)
    assert list(dataset.first_masks("cat/0001/003")) == [1]  # 00002 is the second frame
    assert list(dataset.annotations("cat/0001/003")) == ["00002", "00012"]


# YouTube-VOS


@pytest.fixture
def youtube_vos(tmp_path: Path) -> Path:
    for name in ("00000", "00005", "00010"):
        image(tmp_path / "valid" / "JPEGImages" / "a1" / f"{name}.jpg")
    write_index_mask(tmp_path / "valid" / "Annotations" / "a1" / "00000.png", mask(1))
    write_index_mask(tmp_path / "valid" / "Annotations" / "a1" / "00010.png", mask(1, 2))
    objects = {
        "1": {"category": "cat", "frames": ["00000", "00005", "00010"]},
        "2": {"category": "dog", "frames": ["00010"]},
    }
    text(tmp_path / "valid" / "meta.json", json.dumps({"videos": {"a1": {"objects": objects}}}))
    return tmp_path


def test_youtube_vos_objects_are_given_in_their_first_frames(youtube_vos):
    dataset = open_dataset("youtube-vos", youtube_vos, "valid")
    assert dataset.sequences == ["a1"]
    assert given(dataset, "a1") == {0: [1, 0, 0, 0], 2: [0, 2, 0, 0]}
    assert dataset.instances("a1") == [1, 2]


def test_youtube_vos_lacks(youtube_vos):
    (youtube_vos / "valid" / "JPEGImages" / "a1" / "00010.jpg").unlink()
    dataset = open_dataset("youtube-vos", youtube_vos, "valid")
    with pytest.raises(InputError, match="JPEGImages/a1/00010;"):
        dataset.first_masks("a1")
    with pytest.raises(InputError, match=r"train/meta.json, .*train/Annotations;"):
        open_dataset("youtube-vos", youtube_vos, "train")
    text(youtube_vos / "test" / "meta.json", "[]")
    (youtube_vos / "test" / "Annotations").mkdir()
    with pytest.raises(InputError, match=r"meta\.json is no description"):
        open_dataset("youtube-vos", youtube_vos, "test")


# Still images


def test_static_images_are_videos_of_one_frame(tmp_path):
    image(tmp_path / "images" / "b7.jpg")
    write_index_mask(tmp_path / "masks" / "b7.png", mask(1, 255, 3))
    dataset = open_dataset("static", tmp_path, "all")
    assert dataset.sequences == ["b7"]
    assert len(dataset.video("b7")) == 1
    assert np.array_equal(dataset.read_mask("b7", "b7"), mask(1, 255, 3))
    assert given(dataset, "b7") == {0: [1, 0, 3, 0]}
    with pytest.raises(InputError, match="no split 'val', only all"):
        open_dataset("static", tmp_path, "val")
    (tmp_path / "masks" / "b7.png").unlink()
    with pytest.raises(InputError, match="masks/"):
        open_dataset("static", tmp_path, "all")


# ImageNet VID


@pytest.fixture
def vid(tmp_path: Path) -> Path:
    one, two = "ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000", "ILSVRC2015_VID_train_0001/other"
    for i in range(1, 31):
        text(tmp_path / "ImageSets" / "VID" / f"train_{i}.txt", f"{one} 1\n{two} {1 if i == 3 else -1}\n")
    text(tmp_path / "ImageSets" / "VID" / "val.txt", "ILSVRC2015_val_0/000000 1\nILSVRC2015_val_0/000001 2\n")
    for split, snippet in (("train", one), ("train", two), ("val", "ILSVRC2015_val_0")):
        for frame, content in (("000000", OBJECT * 2), ("000001", "")):
            text(
                tmp_path / "Annotations" / "VID" / split / snippet / f"{frame}.xml",
                f"<annotation>{content}</annotation>",
            )
    image(tmp_path / "Data" / "VID" / "train" / one / "000000.JPEG")
    return tmp_path


OBJECT = (
    "<object><trackid>4</trackid><name>n02118333</name><bndbox><xmax>30</xmax><xmin>10</xmin>"
    "<ymax>9</ymax><ymin>2</ymin></bndbox><occluded>0</occluded><generated>0</generated></object>"
)


def test_imagenet_vid(vid):
    dataset = ImageNetVid(vid, "train")
    one, two = dataset.sequences
    found = dataset.boxes(one, "000000")
    assert found.boxes.tolist() == [[10, 2, 30, 9]] * 2
    assert found.boxes.dtype == np.float32
    assert found.identities == ((one, 4), (one, 4))
    assert found.identities[0] != dataset.boxes(two, "000000").identities[0]  # one track id, two snippets
    assert found.classes == ("n02118333", "n02118333")
    assert dataset.boxes(one, "000001").boxes.shape == (0, 4)
    assert dataset.frame_names(one) == ["000000", "000001"]
    assert len(dataset.video(one)) == 1


def test_imagenet_vid_lists_frames_in_val(vid):
    assert ImageNetVid(vid, "val").sequences == ["ILSVRC2015_val_0"]


def test_imagenet_vid_lacks(vid):
    with pytest.raises(InputError, match=r"ImageSets/VID/test\.txt, .*Annotations/VID/test"):
        ImageNetVid(vid, "test")
    dataset = ImageNetVid(vid, "val")
    with pytest.raises(InputError, match="Data/VID/val/ILSVRC2015_val_0"):
        dataset.video("ILSVRC2015_val_0")
    path = vid / "Annotations" / "VID" / "val" / "ILSVRC2015_val_0" / "000000.xml"
    path.write_text("<annotation><object><trackid>1</trackid></object></annotation>")
    with pytest.raises(InputError, match=r"000000\.xml cannot be read \(an object has no bndbox/xmin\)"):
        dataset.boxes("ILSVRC2015_val_0", "000000")


def test_clips_of_boxes(vid):
    one, two = ImageNetVid(vid, "train").sequences
    for snippet in (one, two):
        image(vid / "Data" / "VID" / "train" / snippet / "000000.JPEG", np.full((48, 64, 3), 90, np.uint8))
    clips = BoxClips(
        root=str(vid),
        size=(48, 64),
        num_frames=2,
        length=6,
        augmentation=dict(scale=(1.0, 1.0), flip=0.0, colour=0.0, grey=0.0, blur=0.0),
    )
    assert clips.identity_names == [f"{vid} {one} 4", f"{vid} {two} 4"]
    drawn = [clips[i] for i in range(6)]
    assert {i for clip in drawn for i in clip.identities} == {0, 1}
    for clip in drawn:
        ys, xs = np.nonzero(clip.masks[0].numpy() == 1)
        assert clip.identities == [0 if one in clip.sources[0] else 1]
        assert np.prod(clip.masks[0].numpy()[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])  # a whole box


def test_small_boxes_lie_over_large_ones():
    found = np.zeros((6, 8), np.uint8)
    fill_boxes(found, np.array([[1, 1, 3, 3], [0, 0, 6, 5], [-2, 4, 1, 9]], np.float32), [1, 2, 3])
    assert found[0].tolist() == [2] * 6 + [0] * 2
    assert found[1].tolist() == [2, 1, 1, 2, 2, 2, 0, 0]
    assert found[4].tolist() == [3, 2, 2, 2, 2, 2, 0, 0]
    assert found[5].tolist() == [3] + [0] * 7


# All of them


def test_the_documents_list_every_data_set():
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    assert [name for name in [*LAYOUTS, "ImageNetVid"] if f"`{name}`" not in page] == []


@pytest.mark.skipif(not (SHARED / "davis2016").is_dir(), reason="../shared/data/davis2016 is not here")
def test_real_davis2016():
    dataset = open_dataset("davis2016", SHARED / "davis2016", "devval")
    assert len(dataset.sequences) == 6
    assert sum(len(dataset.annotations(s)) for s in dataset.sequences) == 410
    video = dataset.video("blackswan")
    assert video.size == (480, 854)
    first = dataset.first_masks("blackswan")
    assert list(first) == [0]
    assert set(np.unique(first[0])) == {0, 1}
    assert len(open_dataset("davis2016", SHARED / "davis2016", "train").sequences) == 30


@pytest.mark.skipif(not (SHARED / "static").is_dir(), reason="../shared/data/static is not here")
@pytest.mark.parametrize(
    ("name", "images"), [("ccp", 1003), ("horses", 328), ("coco128", 125), ("voc2007", 44)]
)
def test_real_static_images(name, images):
    dataset = open_dataset("static", SHARED / "static" / name, "all")
    assert len(dataset.sequences) == images
    sequence = dataset.sequences[0]
    assert dataset.video(sequence)[0].shape[:2] == dataset.first_masks(sequence)[0].shape
    assert dataset.instances(sequence)


@pytest.mark.skipif(
    not (SHARED / "davis2017_first_frames").is_dir(),
    reason="../shared/data/davis2017_first_frames is not here",
)
def test_real_davis2017_first_frames():
    dataset = open_dataset("davis2017", SHARED / "davis2017_first_frames", "first_frames")
    counts = [len(dataset.instances(s)) for s in dataset.sequences]
    assert len(counts) == 30
    assert (min(counts), max(counts)) == (1, 7)
