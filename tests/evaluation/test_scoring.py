"""Evaluation of folders: each data set's rule on cases small enough to check by hand, and errors by name."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import davis_tree, save_masks, squares

from dyenet.data.masks import write_index_mask
from dyenet.data.readers import open_dataset
from dyenet.errors import InputError
from dyenet.evaluation import evaluate
from dyenet.evaluation.protocols import PROTOCOLS, protocol_of
from dyenet.evaluation.result import EvaluationResult, ObjectFrames
from dyenet.evaluation.scoring import score

SHARED = Path(__file__).parents[3] / "shared" / "data" / "davis2016"


@pytest.fixture
def two_objects(tmp_path):
    """Five frames of two still squares in "pair" and one in "single", and a perfect prediction of both."""
    pair = [squares(places=[(1, 5, 5), (2, 30, 40)])] * 5
    single = [squares(places=[(1, 20, 20)])] * 4
    sequences = {"pair": pair, "single": single}
    return davis_tree(tmp_path / "data", sequences), save_masks(tmp_path / "pred", sequences)


def run(root, pred, dataset="davis2017", split="val"):
    return score(open_dataset(dataset, root, split), pred)


def test_perfect_prediction_and_the_schema(two_objects, tmp_path):
    root, pred = two_objects
    files = {"json": tmp_path / "out" / "s.json", "csv": tmp_path / "out" / "s.csv"}
    evaluate(dataset="davis2017", root=root, split="val", predictions=pred, **files)
    written = json.loads(files["json"].read_text())
    assert set(written) == {"global", "sequences", "objects"}
    assert written["global"] == {
        "J": {"mean": 1.0, "recall": 1.0, "decay": 0.0},
        "F": {"mean": 1.0, "recall": 1.0, "decay": 0.0},
        "G": 1.0,
    }
    assert set(written["sequences"]) == {"pair", "single"}
    assert set(written["objects"]) == {"pair/1", "pair/2", "single/1"}
    assert written["objects"]["pair/2"]["J"]["per_frame"] == [1.0, 1.0, 1.0]  # first and last frame dropped
    assert written["objects"]["pair/2"]["frames"] == ["00001", "00002", "00003"]
    rows = list(csv.DictReader(files["csv"].open()))
    assert [r["sequence"] for r in rows] == ["pair", "pair", "single", "pair", "single", "global"]
    assert float(rows[-1]["G"]) == 1.0


def test_davis_2017_averages_over_objects(two_objects):
    root, pred = two_objects
    for index in range(1, 4):  # object 2 of "pair" half covered: J = 50 / 100
        mask = squares(places=[(1, 5, 5), (2, 30, 40)])
        mask[30:40, 45:50] = 0
        write_index_mask(pred / "pair" / f"{index:05d}.png", mask)
    result = run(root, pred)
    assert result.objects["pair", 2].j.tolist() == [0.5] * 3
    assert result.sequences["pair"].j.mean == pytest.approx(0.75)
    assert result.total.j.mean == pytest.approx((1 + 0.5 + 1) / 3)
    assert result.total.j.recall == pytest.approx(2 / 3)  # 0.5 does not exceed 0.5
    assert result.total.g == pytest.approx((result.total.j.mean + result.total.f.mean) / 2)


def test_davis_2016_takes_all_that_is_not_zero_and_averages_over_sequences(two_objects):
    root, pred = two_objects
    for path in pred.rglob("*.png"):
        labels = np.array(Image.open(path))
        Image.fromarray(((labels > 0) * 255).astype(np.uint8)).save(path)  # 0 and 255
    write_index_mask(pred / "single" / "00001.png", np.zeros((60, 80), np.uint8))
    listing = root / "ImageSets" / "480p" / "val.txt"
    listing.parent.mkdir()
    lines = [f"/JPEGImages/480p/{s}/00000.jpg /Annotations/480p/{s}/00000.png " for s in ("pair", "single")]
    listing.write_text("\n".join(lines))
    result = run(root, pred, "davis2016")
    assert set(result.objects) == {("pair", 1), ("single", 1)}
    assert result.total.j.mean == pytest.approx((1 + 0.5) / 2)


def test_void_and_ids_of_the_first_frame(tmp_path):
    """255 in the truth is background; the objects are 1 to the highest id of frame 0, and 2 is never there."""
    first = squares(places=[(1, 5, 5), (3, 30, 40), (255, 45, 60)])
    later = squares(places=[(1, 5, 5), (3, 30, 40), (255, 45, 60), (4, 45, 5)])
    root = davis_tree(tmp_path / "data", {"s": [first, later, later]})
    truth = np.where(later > 3, 0, later).astype(np.uint8)
    result = run(root, save_masks(tmp_path / "pred", {"s": [truth] * 3}))
    assert [object_id for _, object_id in result.objects] == [1, 2, 3]
    assert result.total.j.mean == 1.0  # an object that is empty in both counts 1, as in the official code


def test_missing_objects_count_as_empty(two_objects):
    root, pred = two_objects
    for index in range(5):
        write_index_mask(pred / "pair" / f"{index:05d}.png", squares(places=[(1, 5, 5)]))
    result = run(root, pred)
    assert result.objects["pair", 2].score.j.mean == result.objects["pair", 2].score.f.mean == 0.0
    assert result.total.j.mean == pytest.approx(2 / 3)


def test_objects_that_appear_later_are_scored_after_they_are_given(tmp_path):
    both = squares(places=[(1, 5, 5), (2, 30, 40)])
    one = squares(places=[(1, 5, 5)])
    root = davis_tree(tmp_path / "data", {"s": [one, one, both, both, both]})
    pred = save_masks(tmp_path / "pred", {"s": [one] * 5})
    result = run(root, pred, "composites")
    assert result.objects["s", 1].names == ("00001", "00002", "00003")
    assert result.objects["s", 2].names == ("00003",)
    assert result.objects["s", 2].score.j.mean == 0.0
    assert list(run(root, pred, "davis2017").objects) == [("s", 1)]


def test_segtrack_scores_all_frames_but_the_first_and_averages_over_objects(tmp_path):
    root = tmp_path / "SegTrackv2"
    (root / "ImageSets").mkdir(parents=True)
    (root / "ImageSets" / "all.txt").write_text("*duo\n*solo\n")
    for video, objects in {"duo": [(5, 5), (30, 40)], "solo": [(5, 5)]}.items():
        (root / "ImageSets" / f"{video}.txt").write_text(f"{video}\n" + "f0\nf1\nf2\n")
        for k, (top, left) in enumerate(objects, start=1):
            folder = root / "GroundTruth" / video / (str(k) if len(objects) > 1 else "")
            folder.mkdir(parents=True)
            for frame in ("f0", "f1", "f2"):
                mask = squares(places=[(255, top, left)])
                Image.fromarray(np.stack([mask] * 3, -1)).save(folder / f"{frame}.png")
    for video, places in {"duo": [(1, 5, 5)], "solo": [(1, 5, 5)]}.items():
        for frame in ("f1", "f2"):
            write_index_mask(tmp_path / "pred" / video / f"{frame}.png", squares(places=places))
    result = run(root, tmp_path / "pred", "segtrackv2", "all")
    assert result.objects["duo", 2].names == ("f1", "f2")
    assert result.total.j.mean == pytest.approx(2 / 3)
    assert result.to_json()["averages"]["sequences"]["J"]["mean"] == pytest.approx((0.5 + 1) / 2)


def test_youtube_objects_reports_videos_and_classes(tmp_path):
    """Two cats, one of them missed, and a dog: 2/3 over videos, (1/2 + 1) / 2 over classes."""
    for shot in ("cat/data/0001/shots/001", "cat/data/0002/shots/001", "dog/data/0001/shots/001"):
        folder = tmp_path / "root" / shot / "labels"
        folder.mkdir(parents=True)
        for index in (1, 11, 21):
            Image.fromarray(squares(places=[(255, 20, 20)], size=16)).save(
                folder / f"{index:05d}.jpg", quality=100
            )
    full, empty = squares(places=[(1, 20, 20)], size=16), squares(places=[])
    for name, mask in {"cat/0001/001": full, "cat/0002/001": empty, "dog/0001/001": full}.items():
        for index in (11, 21):  # the last annotated frame is kept
            write_index_mask(tmp_path / "pred" / name / f"{index:05d}.png", mask)
    result = run(tmp_path / "root", tmp_path / "pred", "youtube-objects", "all")
    assert result.objects["dog/0001/001", 1].names == ("00011", "00021")
    written = result.to_json()
    assert written["global"]["J"]["mean"] == pytest.approx(2 / 3)
    assert written["averages"]["classes"]["J"]["mean"] == pytest.approx(0.75)
    assert written["classes"]["cat"]["J"]["mean"] == pytest.approx(0.5)


def tamper_frame(pred):
    (pred / "pair" / "00002.png").unlink()
    return "pair/00002.png"


def tamper_size(pred):
    write_index_mask(pred / "single" / "00001.png", np.zeros((30, 40), np.uint8))
    return "single/00001.png is 40x30, but its truth is 80x60"


def tamper_label(pred):
    write_index_mask(pred / "single" / "00002.png", squares(places=[(1, 20, 20), (2, 40, 40)]))
    return "single/00002.png holds label 2"


def tamper_void(pred):
    write_index_mask(pred / "single" / "00002.png", squares(places=[(255, 20, 20)]))
    return "single/00002.png holds label 255"


def tamper_sequence(pred):
    shutil.rmtree(pred / "single")
    return "sequence single is missing"


def tamper_colour(pred):
    Image.new("RGB", (80, 60)).save(pred / "pair" / "00001.png")
    return "pair/00001.png"


def tamper_bytes(pred):
    (pred / "pair" / "00001.png").write_bytes(b"no image")
    return "pair/00001.png"


@pytest.mark.parametrize(
    "tamper",
    [tamper_frame, tamper_size, tamper_label, tamper_void, tamper_sequence, tamper_colour, tamper_bytes],
)
def test_tampered_results_are_named(two_objects, tamper):
    root, pred = two_objects
    named = tamper(pred)
    with pytest.raises(InputError) as error:
        run(root, pred)
    assert named in str(error.value)


def test_no_predictions_at_all(two_objects, tmp_path):
    with pytest.raises(InputError, match="no folder of predictions at"):
        run(two_objects[0], tmp_path / "nowhere")


def test_nothing_to_score(tmp_path):
    """Only the first frame is annotated, as in test-dev."""
    root = davis_tree(tmp_path / "data", {"s": [squares(places=[(1, 5, 5)])]}, "test-dev")
    pred = save_masks(tmp_path / "pred", {"s": [squares(places=[(1, 5, 5)])]})
    with pytest.raises(InputError, match="nothing can be scored"):
        run(root, pred, split="test-dev")


def test_every_video_data_set_has_a_protocol():
    from dyenet.data.readers import LAYOUTS

    assert set(LAYOUTS) - {"static"} == set(PROTOCOLS)
    with pytest.raises(InputError, match="no protocol for the data set 'static'"):
        protocol_of("static")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/davis2016")
def test_first_mask_copied_on_davis_2016(tmp_path):
    dataset = open_dataset("davis2016", SHARED, "devval")
    for sequence in dataset.sequences:
        names = list(dataset.annotations(sequence))
        first = tmp_path / "first.png"
        write_index_mask(first, dataset.read_mask(sequence, names[0]))
        (tmp_path / "pred" / sequence).mkdir(parents=True)
        for name in names:
            (tmp_path / "pred" / sequence / f"{name}.png").hardlink_to(first)
        first.unlink()
    result = score(dataset, tmp_path / "pred")
    expected = {
        "blackswan": 0.545,
        "bmx-trees": 0.094,
        "camel": 0.455,
        "dance-twirl": 0.343,
        "horsejump-high": 0.141,
        "kite-surf": 0.133,
    }
    assert {s: v.j.mean for s, v in result.sequences.items()} == pytest.approx(expected, abs=1e-3)
    assert result.total.j.mean == pytest.approx(0.285, abs=1e-3)


def test_a_return_is_from_the_first_frame_back_until_gone_again():
    """Hidden in frames 2-3 and 5: back in 4 alone (J 0.6), and in 6-7 (mean J 0.3)."""
    visible = np.array([1, 0, 0, 1, 0, 1, 1], bool)
    j = np.array([0.9, 1.0, 1.0, 0.6, 0.0, 0.2, 0.4])
    frames = ObjectFrames(tuple("1234567"), j, j, visible)
    assert frames.returns == pytest.approx([0.6, 0.3])
    result = EvaluationResult("synthetic", "val", protocol_of("synthetic"), {("a", 1): frames}, 0.0)
    assert result.returns == (1, 2)
    assert result.to_json()["returns"] == {"found": 1, "of": 2}
    assert "1 of 2 returns" in result.about_returns
    always = {("a", 1): ObjectFrames(("1",), j[:1], j[:1], visible[:1])}
    assert EvaluationResult("synthetic", "val", protocol_of("synthetic"), always, 0.0).about_returns is None
