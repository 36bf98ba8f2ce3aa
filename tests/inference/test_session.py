import dataclasses
import json

import numpy as np
import pytest

from dyenet.errors import InputError
from dyenet.inference.config import IterativeConfig, PropagationConfig, RetrievalConfig
from dyenet.inference.session import VideoSession
from dyenet.structures import ArrayVideo

HEIGHT, WIDTH, FRAMES = 64, 80, 5


@pytest.fixture
def config(tiny_model):
    return dataclasses.replace(
        tiny_model.inference,
        retrieval=RetrievalConfig(max_proposals=4, frame_step=2),
        propagation=PropagationConfig(max_passes=0.5),
        iterative=IterativeConfig(max_rounds=2),
    )


def clip(seed: int = 0) -> ArrayVideo:
    rng = np.random.default_rng(seed)
    return ArrayVideo(rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8))


def index_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[8:40, 6:38] = 3
    mask[20:60, 44:76] = 200
    return mask


def all_labels(result) -> np.ndarray:
    return np.stack([result.labels(t) for t in range(FRAMES)])


def test_frames_may_be_views_such_as_bgr_turned_round(tiny_model, config):
    frames = np.stack([clip()[t] for t in range(FRAMES)])
    found = []
    for video in (ArrayVideo(frames), ArrayVideo(list(np.ascontiguousarray(frames[..., ::-1])[..., ::-1]))):
        with VideoSession(tiny_model, video, config=config) as session:
            session.add_masks(0, index_mask())
            found.append(all_labels(session.run()))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("schedule", ["iterative", "checkpointed"])
def test_a_session_labels_every_frame_and_keeps_the_given_masks(tiny_model, config, schedule):
    events = []
    config = dataclasses.replace(config, schedule=schedule)
    with VideoSession(tiny_model, clip(), config=config, progress=lambda *e: events.append(e)) as session:
        session.add_masks(1, index_mask())
        result = session.run()
        labels = all_labels(result)
    assert labels.dtype == np.uint8
    assert labels.shape == (FRAMES, HEIGHT, WIDTH)
    assert set(np.unique(labels)) <= {0, 3, 200}
    assert (labels[1] == index_mask()).all()
    assert set(result.tubes) == {3, 200}
    maps = result.probabilities(1)
    assert set(maps) == {0, 3, 200}
    assert np.allclose(sum(maps.values()), 1, atol=1e-5)
    report = json.loads(json.dumps(result.report))
    assert report["schedule"] == schedule
    assert report["trunk_runs"] == FRAMES
    assert {t["object"] for t in report["templates"]} == {3, 200}
    assert set(report["links"]) == {"3", "200"}
    assert report["seconds"]["trunk"] > 0
    assert all(done <= total for _, done, total in events)
    assert events


def test_two_sessions_may_be_interleaved(tiny_model, config):
    alone = []
    for seed in (0, 1):
        session = VideoSession(tiny_model, clip(seed), config=config)
        session.add_masks(0, index_mask())
        alone.append(all_labels(session.run()))
    assert (alone[0] != alone[1]).any()
    first, second = (VideoSession(tiny_model, clip(seed), config=config) for seed in (0, 1))
    first.add_masks(0, index_mask())
    second.add_masks(0, index_mask())
    results = [first.run(), second.run()]
    again = first.run()
    assert (all_labels(results[1]) == alone[1]).all()
    assert (all_labels(results[0]) == alone[0]).all()
    assert (all_labels(again) == alone[0]).all()


def test_objects_come_and_go_and_the_trunk_runs_once_per_frame(tiny_model, config):
    session = VideoSession(tiny_model, clip(), config=config)
    session.add_object(3, index_mask() == 3)
    assert set(session.run().tubes) == {3}
    session.add_object(200, index_mask() == 200, frame=2)
    result = session.run()
    assert set(result.tubes) == {3, 200}
    assert result.report["trunk_runs"] == FRAMES
    assert ((result.labels(2) == 200) == (index_mask() == 200)).all()
    session.remove_object(3)
    assert set(session.run().tubes) == {200}
    with pytest.raises(InputError, match="no object 3"):
        session.remove_object(3)


def test_a_smaller_working_size_gives_labels_at_the_full_size(tiny_model, config):
    config = dataclasses.replace(config, max_size=56)
    with VideoSession(tiny_model, clip(), config=config) as session:
        session.add_masks(0, index_mask())
        result = session.run()
    assert result.working_size == (45, 56)
    assert result.labels(0).shape == (HEIGHT, WIDTH)
    assert (result.labels(0) == index_mask()).all()
    # the given masks as patches, in the working frames' pixels, pasted at full size
    pasted = result.probabilities(0)[3] > 0.5
    wanted = index_mask() == 3
    assert (pasted & wanted).sum() / (pasted | wanted).sum() > 0.85


@pytest.mark.parametrize(
    ("object_size", "max_zoom", "width"),
    [
        (
            21.0,
            2.0,
            84,
        ),  # the smaller of the objects has 20 pixels a side of 80, 14 of 56; larger than the video
        (40.0, 2.0, 112),
        (5.0, 2.0, 56),  # never smaller than max_size says
    ],
)
def test_frames_are_larger_for_small_objects(tiny_model, config, object_size, max_zoom, width):
    config = dataclasses.replace(config, max_size=56, object_size=object_size, max_zoom=max_zoom)
    small, large = np.zeros((2, HEIGHT, WIDTH), bool)
    small[10:30, 10:30], large[40:80, 40:90] = True, True
    with VideoSession(tiny_model, clip(), config=config) as session:
        session.add_object(1, large)
        session.add_object(2, small)
        session.add_object(
            2, small & (np.arange(WIDTH) < 15), frame=2
        )  # what shows of it there does not count
        result = session.run()
    assert result.working_size[1] == width
    assert (result.labels(0) == 2 * small + large).all()


def test_a_small_object_that_is_added_later_changes_the_frames_worked_on(tiny_model, config):
    config = dataclasses.replace(config, max_size=56, object_size=28.0, max_zoom=4.0)
    small, large = np.zeros((2, HEIGHT, WIDTH), bool)
    small[10:30, 10:30], large[20:60, 40:80] = True, True
    with VideoSession(tiny_model, clip(), config=config) as session:
        session.add_object(1, large)
        assert session.run().working_size[1] == 56
        session.add_object(2, small)
        result = session.run()
        assert result.working_size[1] == 112
        assert result.report["trunk_runs"] == FRAMES
        session.remove_object(2)
        assert session.run().working_size[1] == 56


def test_an_earlier_first_mask_gives_what_it_gives_in_a_new_session(tiny_model, config):
    """Pooled embeddings are whitened by the first frame that has one."""
    config = dataclasses.replace(
        config, retrieval=RetrievalConfig(similarity_threshold=-1.0, embedding="pooled")
    )
    results = []
    for before in (True, False):
        with VideoSession(tiny_model, clip(), config=config) as session:
            session.add_object(3, index_mask() == 3, frame=3)
            if before:
                session.run()
            session.add_object(200, index_mask() == 200)
            results.append(session.run())
    similarities = [[p.similarity for points in r.starting_points for p in points] for r in results]
    assert similarities[0] == similarities[1]
    assert similarities[0]


def test_where_given_masks_overlap_the_latest_wins(tiny_model, config):
    session = VideoSession(tiny_model, clip(), config=config)
    one, two = np.zeros((2, HEIGHT, WIDTH), bool)
    one[10:40, 10:40], two[20:50, 20:50] = True, True
    session.add_object(1, one)
    session.add_object(2, two)
    labels = session.run().labels(0)
    assert ((labels == 2) == two).all()
    assert ((labels == 1) == (one & ~two)).all()


def test_a_mask_thinner_than_the_patch_s_cells_is_not_lost(tiny_model, config):
    line = np.eye(HEIGHT, WIDTH, dtype=bool)
    with VideoSession(tiny_model, clip(), config=config) as session:
        session.add_object(1, line)
        result = session.run()
    assert (result.labels(0) == line).all()
    assert result.tubes[1].patches[0].areas().item() > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.run(), "no masks"),
        (lambda s: s.add_masks(0, np.zeros((HEIGHT, WIDTH), np.uint8)), "frame 0 is empty"),
        (lambda s: s.add_masks(9, index_mask()), "no frame 9"),
        (lambda s: s.add_masks(0, index_mask()[:-1]), "height, width"),
        (lambda s: s.add_object(0, index_mask() > 0), "between 1 and 255"),
        (lambda s: s.add_object(256, index_mask() > 0), "between 1 and 255"),
        (lambda s: s.add_object(1, index_mask() == 7), "is empty"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(tiny_model, call, words):
    with pytest.raises(InputError, match=words):
        call(VideoSession(tiny_model, clip()))
