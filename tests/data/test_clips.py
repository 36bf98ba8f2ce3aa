"""Training clips: contract, determinism, identities, directions, mixtures, bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dyenet.data.clips import (
    MixedClips,
    SyntheticClips,
    VideoClips,
    cover_parts,
    make_clip,
    random_times,
)
from dyenet.data.clips_composite import CompositeClips
from dyenet.data.clips_files import read_picture, save_sequence
from dyenet.data.clips_images import VIRTUAL_FRAMES, FirstFrameClips, ImageClips, span
from dyenet.data.synthetic import generate_clip
from dyenet.errors import ConfigError, InputError
from dyenet.registry import DATASETS

COMMON = dict(size=(48, 80), num_frames=3, length=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A DAVIS 2017 tree (one sequence of one object, one of two), images with masks and without."""
    root = tmp_path_factory.mktemp("data")
    one = generate_clip(
        0,
        num_frames=6,
        size=(64, 96),
        num_objects=1,
        distractors=0,
        occluders=0,
        occlusion=False,
        leave=False,
    )
    two = generate_clip(
        2,
        num_frames=6,
        size=(64, 96),
        num_objects=2,
        distractors=0,
        occluders=0,
        occlusion=False,
        leave=False,
    )
    save_sequence(root / "davis", "one", one.frames, one.masks, "train")
    save_sequence(root / "davis", "two", two.frames, two.masks, "train")
    for folder in ("stills/images", "stills/masks", "plain/images"):
        (root / folder).mkdir(parents=True)
    for i in range(2):
        Image.fromarray(two.frames[i]).save(root / f"stills/images/{i}.jpg")
        Image.fromarray(two.masks[i]).save(root / f"stills/masks/{i}.png")
        Image.fromarray(two.frames[i][::-1]).save(root / f"plain/images/{i}.jpg")
    return root


def make(kind, data, **more):
    options = {**COMMON, **more}
    if kind == "video":
        return VideoClips(root=str(data / "davis"), split="train", **options)
    if kind == "images":
        return ImageClips(roots=[str(data / "stills"), str(data / "davis")], **options)
    if kind == "synthetic":
        return SyntheticClips(num_scenes=5, photos=str(data / "plain"), **options)
    return CompositeClips(
        videos=[dict(root=str(data / "davis"), split="train")],
        images=[str(data / "stills")],
        backgrounds=[str(data / "plain")],
        **options,
    )


KINDS = ["video", "images", "synthetic", "composite"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_clip_keeps_the_contract(kind, data):
    dataset = make(kind, data)
    assert len(dataset) == 20
    seen = set()
    for index in range(8):
        clip = dataset[index]
        assert clip.frames.shape == (3, 3, 48, 80)
        assert clip.masks.shape == (3, 48, 80)
        assert clip.flow.shape == (2, 2, 48, 80)
        assert (clip.frames.dtype, clip.masks.dtype, clip.flow.dtype) == (
            torch.uint8,
            torch.uint8,
            torch.float16,
        )
        assert torch.isfinite(clip.flow).all()
        ids = set(clip.masks.unique().tolist()) - {0, 255}
        assert ids == set(range(1, clip.num_objects + 1))
        assert all(0 <= i < dataset.num_identities for i in clip.identities)
        assert len(set(clip.identities)) == len(clip.identities)
        assert clip.sources
        seen.update(clip.identities)
    assert len(seen) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_depends_on_seed_and_index_alone(kind, data):
    first, second = make(kind, data), make(kind, data)
    second[3], torch.rand(3), np.random.rand(2)  # noqa: NPY002 - the global state must not matter
    a, b, c = first[7], second[7], make(kind, data, seed=1)[7]
    assert torch.equal(a.frames, b.frames)
    assert torch.equal(a.masks, b.masks)
    assert torch.equal(a.flow, b.flow)
    assert a.identities == b.identities
    assert not torch.equal(a.frames, c.frames)
    assert not torch.equal(a.frames, first[8].frames)


def test_exact_flow_of_image_clips_links_the_masks(data):
    """Without DIS: the mask of t+1 is that of t sampled along the flow, but for rims and what came into view."""
    dataset = make("images", data, estimated_flow=0.0, moved=0.0)
    for index in range(4):
        clip = dataset[index]
        y, x = np.mgrid[:48, :80]
        for t in range(2):
            flow = clip.flow[t].float().numpy()
            u, v = np.round(x + flow[0]).astype(int), np.round(y + flow[1]).astype(int)
            inside = (u >= 0) & (u < 80) & (v >= 0) & (v < 48)
            warped = clip.masks[t].numpy()[v.clip(0, 47), u.clip(0, 79)]
            assert (warped == clip.masks[t + 1].numpy())[inside].mean() > 0.95


def test_identities_of_videos_are_per_object(data):
    dataset = make("video", data)
    assert dataset.num_identities == 3  # one object, and two
    found = {tuple(dataset[i].identities) for i in range(20)}
    assert (0,) in found
    assert found <= {(0,), (1, 2), (1,), (2,)}


def test_new_scenes_have_no_identities(data):
    dataset = SyntheticClips(**COMMON)
    assert dataset.num_identities == 0
    assert set(dataset[0].identities) <= {-1}


def test_random_times():
    rng = np.random.default_rng(0)
    directions = set()
    for _ in range(50):
        times = random_times(rng, 20, 4, 3)
        steps = set(np.diff(times).tolist())
        assert len(steps) == 1
        assert 1 <= abs(steps.copy().pop()) <= 3
        assert min(times) >= 0
        assert max(times) < 20
        directions.add(np.sign(steps.pop()))
    assert directions == {-1, 1}
    assert random_times(rng, 1, 4, 3) == [0, 0, 0, 0]
    assert sorted(set(random_times(rng, 2, 4, 3))) == [0, 1]


def test_a_distant_first_frame_is_any_of_the_video_and_the_others_stay_a_run():
    rng = np.random.default_rng(0)
    far = [random_times(rng, 20, 4, 2, distant_first=0.5) for _ in range(200)]
    gaps = [abs(times[0] - times[1]) for times in far]
    assert all(len(set(np.diff(times[1:]))) == 1 and abs(times[1] - times[2]) <= 2 for times in far)
    assert {times[0] for times in far} == set(range(20))
    assert 0.25 < np.mean([gap > 2 for gap in gaps]) < 0.5  # some of the half lie near by chance
    assert max(gaps) > 15


@pytest.mark.parametrize("kind", ["video", "composite"])
def test_the_first_frame_alone_is_distant(kind, data):
    dataset = make(kind, data, distant_first=1.0, max_step=1)
    video = dataset.videos[0]
    pictures = [read_picture(path) for path in video.images]
    firsts = set()
    for seed in range(40):
        if kind == "video":
            clip = dataset[seed % 20]
            shown = [int(Path(source).stem) for source in clip.sources]
        else:
            cut = dataset._load(np.random.default_rng(seed), video)
            shown = [
                next(k for k, p in enumerate(pictures) if any((q == p).all() for q in (seen, seen[:, ::-1])))
                for seen in cut.pictures
            ]
        assert abs(shown[2] - shown[1]) == 1
        firsts.add(shown[0] - shown[1])
    assert max(map(abs, firsts)) > 2


def test_a_covered_object_keeps_a_third_to_four_fifths_of_itself_on_one_side_of_a_line():
    """The rest shows grey background, the only one there is; void and the other object's own part stay."""
    seen = set()
    for seed in range(30):
        frame = np.full((40, 60, 3), 128, np.uint8)
        mask = np.zeros((40, 60), np.uint8)
        mask[4:24, 6:26], mask[20:36, 36:56], mask[0, 0] = 1, 2, 255
        frame[mask == 1], frame[mask == 2] = (250, 0, 0), (0, 0, 250)
        picture, labels = frame.copy(), mask.copy()
        cover_parts(np.random.default_rng(seed), picture, labels)
        for object_id in (1, 2):
            kept, lost = (labels == object_id)[mask == object_id], (labels == 0)[mask == object_id]
            assert (kept | lost).all()
            assert 0.3 < kept.mean() < 0.82
            rows, columns = np.nonzero(mask == object_id)
            ways = np.deg2rad(np.arange(0, 360, 3))[:, None]
            along = columns * np.cos(ways) + rows * np.sin(ways)
            assert np.any(np.where(kept, along, -np.inf).max(1) < np.where(lost, along, np.inf).min(1) + 1)
            seen.add(round(kept.mean(), 1))
        assert (picture[labels == 1] == (250, 0, 0)).all()
        assert (picture[labels == 2] == (0, 0, 250)).all()
        assert not (picture[labels == 0] == (250, 0, 0)).all(axis=-1).any()
        assert labels[0, 0] == 255
    assert len(seen) > 3


@pytest.mark.parametrize("kind", ["video", "composite"])
def test_the_first_frame_alone_is_covered(kind, data):
    whole, covered = (make(kind, data, covered_first=share) for share in (0.0, 1.0))
    assert sum((whole[k].masks[0] != covered[k].masks[0]).any() for k in range(8)) >= 6
    for k in range(8):
        assert torch.equal(whole[k].frames[1:], covered[k].frames[1:])


def test_clips_of_any_length_stay_on_their_objects_paths():
    rng = np.random.default_rng(0)
    for frames in (2, 8, 13, 60):
        for _ in range(50):
            start, step = span(rng, 0.5, 3.0, frames)
            assert 0 <= start <= start + step * frames <= VIRTUAL_FRAMES
            assert 0 < step <= 3.0


def test_small_objects_become_void_and_others_are_renumbered():
    masks = np.zeros((2, 20, 20), np.uint8)
    masks[:, 0, 0], masks[:, 5:15, 5:15], masks[0, 19, 19] = 1, 2, 255
    clip = make_clip(
        np.zeros((2, 20, 20, 3), np.uint8), masks, np.zeros((1, 2, 20, 20), np.float32), [10, 11], []
    )
    assert clip.identities == [11]
    assert clip.masks[0, 0, 0] == 255
    assert clip.masks[0, 19, 19] == 255
    assert (clip.masks[:, 5:15, 5:15] == 1).all()


def test_mixture_joins_identities_and_follows_weights(data):
    mixed = MixedClips(
        datasets=[dict(type="VideoClips", root=str(data / "davis"), **COMMON), make("images", data)],
        weights=[1.0, 1.0],
        length=30,
    )
    video, images = mixed.datasets
    assert mixed.num_identities == video.num_identities + images.num_identities
    identities = {i for index in range(30) for i in mixed[index].identities}
    assert min(identities) < 3 <= max(identities)
    only = MixedClips(datasets=[video, images], weights=[0.0, 1.0], length=5)
    assert all(i >= 3 for index in range(5) for i in only[index].identities)
    again = MixedClips(datasets=[video, images, make("composite", data)], length=5)
    assert again.num_identities == mixed.num_identities  # composites show the same objects
    stills = again.datasets[2].num_identities - 1
    assert again.identities[2] == [again.identities[0][0], *again.identities[1][:stills]]
    with pytest.raises(ConfigError, match="weights"):
        MixedClips(datasets=[video], weights=[1.0, 2.0])


def test_a_mixture_of_mixtures_keeps_identities_and_hands_its_seed_down(data):
    video = dict(type="VideoClips", root=str(data / "davis"), **COMMON)

    def mix(**options):
        return dict(type="MixedClips", datasets=[video], length=4, **options)

    nested = MixedClips(datasets=[mix(), mix(seed=9)], length=4, seed=5)
    assert nested.num_identities == 3  # of one and of two: the same objects in both
    assert nested.identity_names == list(nested.datasets[0].identity_names)
    plain = [DATASETS.build(dict(video, seed=s)) for s in (5, 9)]
    for part, expected in zip(nested.datasets, plain, strict=True):
        assert torch.equal(part[0].frames, expected[0].frames)
    assert all(0 <= i < 3 for index in range(4) for i in nested[index].identities)


def test_built_by_config_and_unknown_keys_are_errors(data):
    built = DATASETS.build(dict(type="SyntheticClips", augmentation=dict(colour=0.0), **COMMON))
    assert built[0].frames.shape == (3, 3, 48, 80)
    with pytest.raises(ConfigError, match="colours"):
        SyntheticClips(augmentation=dict(colours=0.0), **COMMON)


@pytest.mark.filterwarnings("ignore:skipped")
def test_corrupt_image_names_itself_or_is_skipped(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    mask = np.zeros((60, 90), np.uint8)
    mask[10:50, 20:70] = 1
    for name in ("good", "bad"):
        Image.fromarray(np.full((60, 90, 3), 99, np.uint8)).save(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    whole = (tmp_path / "images" / "bad.jpg").read_bytes()
    (tmp_path / "images" / "bad.jpg").write_bytes(whole[: len(whole) // 2])
    strict = ImageClips(roots=[str(tmp_path)], **COMMON)
    with pytest.raises(InputError, match=r"bad\.jpg"):
        [strict[i] for i in range(20)]
    lenient = ImageClips(roots=[str(tmp_path)], skip_corrupt=True, **COMMON)
    with pytest.warns(UserWarning, match=r"skipped 1 clips so far.*bad\.jpg"):
        clips = [lenient[i] for i in range(20)]
    assert all("good" in clip.sources[0] for clip in clips)
    assert lenient.skipped > 0


def test_composites_need_something_to_paste():
    with pytest.raises(ConfigError, match="CompositeClips"):
        CompositeClips(**COMMON)


def test_first_frame_clips_see_first_frames_only(data):
    tree = FirstFrameClips(root=str(data / "davis"), split="train", **COMMON)
    assert tree.num_identities == 3
    assert {Path(tree[i].sources[0]).name for i in range(6)} == {"00000.jpg"}
    mask = np.zeros((60, 90), np.uint8)
    mask[10:30, 10:40], mask[35:55, 40:80] = 5, 9  # ids need not be 1..K
    picture = np.full((60, 90, 3), 120, np.uint8)
    clip = FirstFrameClips(frames=[(picture, mask)], augmentation=dict(scale=(1.0, 1.0)), **COMMON)[0]
    assert clip.identities == [0, 1]
    assert set(clip.masks.unique().tolist()) >= {0, 1, 2}
    with pytest.raises(InputError, match="FirstFrameClips"):
        FirstFrameClips(frames=[(picture, np.zeros((60, 90), np.uint8))], **COMMON)


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not (SHARED / "davis2016").is_dir(), reason="needs ../shared/data")
def test_real_data():
    """DAVIS 2016 masks (1 bit) and index masks of photographs are read as they should be."""
    video = VideoClips(root=str(SHARED / "davis2016"), split="train", size=(96, 160), length=3)
    assert video.num_identities == 30
    images = ImageClips(roots=[str(SHARED / "davis2017_first_frames")], size=(96, 160), length=3)
    assert images.num_identities > 30
    for clip in (video[0], images[0]):
        assert clip.num_objects >= 1
        assert 0.01 < (clip.masks[0] > 0).float().mean() < 0.95
