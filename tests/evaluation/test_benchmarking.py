"""A benchmark with a tiny network: scored, resumed, split over processes, and its configs checked."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch
from trees import squares

from dyenet.config import load_config
from dyenet.data.clips_files import save_sequence
from dyenet.data.masks import read_labels, write_index_mask
from dyenet.data.readers import open_dataset
from dyenet.errors import ConfigError
from dyenet.evaluation import benchmark
from dyenet.evaluation.benchmarking import run_sequence
from dyenet.evaluation.models import ModelSource
from dyenet.evaluation.scoring import score
from dyenet.models.weights import save_network
from dyenet.registry import MODELS

QUICK = ["inference.iterative.max_rounds=1", "inference.retrieval.max_proposals=2"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny network with random weights."""
    slim = ["width=16", "hidden_channels=24", "output_channels=16"]
    heads = [f"model.{head}.{s}" for head in ("reid_head", "propagation_head") for s in slim]
    config = load_config("dyenet/small.py", [*heads, "model.rpn.channels=16", "model.patch_size=14"])
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(MODELS.build(config.model), config, path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two sequences of three and four frames with moving squares."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, length in {"short": 3, "long": 4}.items():
        masks = np.stack([squares(places=[(1, 10, 10 + 2 * t), (2, 35, 40)], size=16) for t in range(length)])
        frames = (masks[..., None] * 80 + rng.integers(0, 80, (length, 60, 80, 3))).astype(np.uint8)
        save_sequence(root, name, frames, masks)
    return root


def run(weights, root, out, **more):
    options = {"dataset": "davis2017", "root": root, "split": "val", "device": "cpu", "dtype": "float32"}
    return benchmark(str(weights), out=out, **{**options, "overrides": QUICK, **more})


def stamps(out):
    return {p.name: p.stat().st_mtime_ns for p in (out / "runs").glob("*.json")}


def test_scores_and_rows(weights, root, tmp_path):
    result = run(weights, root, tmp_path)
    written = json.loads((tmp_path / "benchmark.json").read_text())
    again = score(open_dataset("davis2017", root, "val"), tmp_path / "masks")
    assert written["global"] == again.total.to_dict() == result.scores.total.to_dict()
    assert set(written["sequences"]) == {"short", "long"}
    assert written["sequences"]["long"]["frames"] == 4
    assert written["seconds_per_frame"] > 0
    assert written["peak_memory_mb"] > 0
    assert (
        read_labels(tmp_path / "masks" / "long" / "00000.png")
        == squares(places=[(1, 10, 10), (2, 35, 40)], size=16)
    ).all()
    # Both objects are in every frame, and given in the first: 2 x (2 + 3) masks could be found.
    assert result.retrieval(1).wanted == 10
    assert (tmp_path / "scores.csv").is_file()


def test_a_second_run_does_only_what_is_missing(weights, root, tmp_path):
    run(weights, root, tmp_path)
    before = stamps(tmp_path)
    run(weights, root, tmp_path)
    assert stamps(tmp_path) == before
    (tmp_path / "masks" / "short" / "00002.png").unlink()  # not whole any more
    run(weights, root, tmp_path)
    after = stamps(tmp_path)
    assert after["long.json"] == before["long.json"]
    assert after["short.json"] != before["short.json"]
    run(weights, root, tmp_path, overrides=[*QUICK, "inference.propagation.min_side=4"])
    assert all(stamps(tmp_path)[name] != after[name] for name in after)  # done under other settings: not done


def test_a_killed_sequence_is_not_taken_for_done(weights, root, tmp_path, monkeypatch):
    dataset = open_dataset("davis2017", root, "val")
    model = ModelSource(str(weights), QUICK, device="cpu", dtype="float32").model("short")

    def killed(path, labels):
        if path.stem == "00001":
            raise KeyboardInterrupt
        write_index_mask(path, labels)

    monkeypatch.setattr("dyenet.evaluation.benchmarking.write_index_mask", killed)
    with pytest.raises(KeyboardInterrupt):
        run_sequence(model, dataset, "short", tmp_path, "key")
    assert not (tmp_path / "masks" / "short").exists()
    assert not (tmp_path / "runs").exists()
    monkeypatch.undo()
    run(weights, root, tmp_path)
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == ["long", "short"]


def test_two_processes_share_the_videos(weights, root, tmp_path):
    assert run(weights, root, tmp_path, rank=1, world_size=2) is None
    assert set(stamps(tmp_path)) == {"short.json"}  # the longer one is process 0's
    before = stamps(tmp_path)
    result = run(weights, root, tmp_path, rank=0, world_size=2)
    assert set(result.records) == {"short", "long"}
    assert stamps(tmp_path)["short.json"] == before["short.json"]


def test_without_truth_there_is_a_zip_for_the_server(weights, root, tmp_path):
    blind = tmp_path / "blind"
    (blind / "ImageSets" / "2017").mkdir(parents=True)
    (blind / "ImageSets" / "2017" / "test-dev.txt").write_text("short\n")
    (blind / "JPEGImages").symlink_to(root / "JPEGImages")
    first = read_labels(root / "Annotations" / "480p" / "short" / "00000.png")
    write_index_mask(blind / "Annotations" / "480p" / "short" / "00000.png", first)
    result = run(weights, blind, tmp_path / "out", split="test-dev")
    assert result.scores is None
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as archive:
        assert archive.namelist() == [f"short/{i:05d}.png" for i in range(3)]


def config_file(path, text):
    path.write_text(text)
    return str(path)


def test_a_config_names_its_weights_and_changes_inference(weights, tmp_path):
    inference = "inference = dict(iterative=dict(max_rounds=2), flow=dict(type='DISFlow', preset='fast'))\n"
    config = config_file(tmp_path / "c.py", f"weights = {str(weights)!r}\n{inference}")
    overrides = ["inference.retrieval.frame_step=7"]
    model = ModelSource(config, overrides, device="cpu", dtype="float32").model("s")
    assert model.inference.iterative.max_rounds == 2
    assert model.inference.retrieval.frame_step == 7
    assert model.inference.flow == {"type": "DISFlow", "preset": "fast"}
    assert model.inference.max_size == 640  # as stored with the weights


def test_one_model_per_sequence(weights, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(weights.read_bytes())
    source = ModelSource(str(tmp_path / "{sequence}.safetensors"), device="cpu", dtype="float32")
    assert source.model("a").weights["file"] == str(tmp_path / "a.safetensors")
    assert source.model("b").weights["file"] == str(tmp_path / "b.safetensors")


def test_a_config_of_another_model_is_refused(weights, tmp_path):
    text = f"weights = {str(weights)!r}\nmodel = dict(propagation_head=dict(attention=None))\n"
    source = ModelSource(config_file(tmp_path / "c.py", text), device="cpu", dtype="float32")
    with pytest.raises(ConfigError, match=r"attention=None, but the weights .* attention='residual'"):
        source.model("s")


def test_a_config_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="names no weights; add --set weights=FILE"):
        ModelSource(config_file(tmp_path / "c.py", "inference = dict()"), device="cpu", dtype="float32")
