"""The papers' experiments: their cells, their tables, and one run of each kind with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from trees import squares

from dyenet.config import configs_dir, load_config
from dyenet.data.clips_files import save_sequence
from dyenet.errors import InputError
from dyenet.evaluation import experiment
from dyenet.evaluation.experiments import EXPERIMENTS, overrides_of
from dyenet.evaluation.plots import plot_attributes
from dyenet.evaluation.published import TABLE1, TABLE2, TABLE3, TABLE5, VSREID_TABLE1
from dyenet.evaluation.tables import Comparison, Row
from dyenet.inference.config import InferenceConfig
from dyenet.models.weights import save_network
from dyenet.registry import MODELS

CELLS = sorted({config for e in EXPERIMENTS.values() for config in e.cells.values()})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A data set of one short clip, and the weights of a tiny network with and without attention."""
    folder, rng = tmp_path_factory.mktemp("experiments"), np.random.default_rng(0)
    masks = np.stack([squares(places=[(1, 10, 10 + 2 * t), (2, 35, 40)], size=16) for t in range(4)])
    frames = (masks[..., None] * 80 + rng.integers(0, 80, (4, 60, 80, 3))).astype(np.uint8)
    save_sequence(folder / "data", "clip", frames, masks)
    slim = ["width=16", "hidden_channels=24", "output_channels=16"]
    heads = [f"model.{head}.{s}" for head in ("reid_head", "propagation_head") for s in slim]
    for name, attention in (("full", "area"), ("plain", "None")):
        changes = [*heads, "model.rpn.channels=16", f"model.propagation_head.attention={attention}"]
        config = load_config("dyenet/small.py", [*changes, "model.patch_size=14"])
        torch.manual_seed(0)
        save_network(MODELS.build(config.model), config, folder / f"{name}.safetensors")
    return folder


def run(name, files, out, **more):
    sets = [
        f"weights={files / 'full.safetensors'}",
        f"remp_no_attention.weights={files / 'plain.safetensors'}",
        "msk.weights=nowhere.safetensors",
    ]
    options = {"dataset": "composites", "root": files / "data", "split": "val", "overrides": sets}
    return experiment(name, out=out, device="cpu", dtype="float32", **{**options, **more})


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_has_a_config_that_fits_the_inference_config(name):
    from dyenet.config import build

    path = configs_dir() / "ablations" / f"{name}.py"
    config = load_config(path)
    assert isinstance(config.weights, str)
    assert isinstance(build(InferenceConfig, config.get("inference", {}), "inference."), InferenceConfig)
    opening = path.read_text().partition("\n_base_")[0].partition("\nweights")[0]
    assert "dyenet experiment" in opening  # what it is, the command, the expected number
    assert "Expected" in opening or "no number" in opening
    assert path.read_text().count("\n") < 20


def test_table_2_cells_say_what_their_rows_say():
    for row, name in EXPERIMENTS["table2"].cells.items():
        config = load_config(f"ablations/{name}.py")
        rho, number = row.removeprefix("rho ").split(", round ")
        assert config.inference.retrieval.similarity_threshold == float(rho)
        assert config.inference.iterative.max_rounds == int(number[0])
        assert config.inference.retrieval.frame_step == 1


def test_published_numbers_are_consistent():
    """G is the mean of J and F (to the rounding of three printed numbers) and the rows are the experiments'."""
    for table in (TABLE1, TABLE3, VSREID_TABLE1):
        for row in table.rows.values():
            assert row["G"] == pytest.approx((row["J"] + row["F"]) / 2, abs=0.11)
    for name, experiment_ in EXPERIMENTS.items():
        if experiment_.published and name != "table5":
            assert list(experiment_.published.rows) == list(experiment_.cells)
    assert len(TABLE2.rows) == 12
    assert set(EXPERIMENTS["table5"].cells) - set(TABLE5.rows) == {"DyeNet, per-video"}


def test_overrides_for_one_cell():
    given = ["weights=a", "remp.weights=b", "msk.weights=c", "inference.max_size=100"]
    assert overrides_of("remp", given) == ["weights=a", "inference.max_size=100", "weights=b"]
    assert overrides_of("dyenet", given) == ["weights=a", "inference.max_size=100"]


def test_table_1_runs_and_says_what_was_not_run(files, tmp_path, capsys):
    comparison = run("table1", files, tmp_path)
    rows = {row.name: row for row in comparison.rows}
    assert rows["MSK (ResNet-101)"].ours is None
    assert rows["Re-MP, full"].paper["G"] == 69.1
    assert set(rows["Re-MP, full"].ours) == {"J", "F", "G"}
    written = json.loads((tmp_path / "cells" / "remp" / "benchmark.json").read_text())
    assert rows["Re-MP, full"].ours["J"] == pytest.approx(100 * written["global"]["J"]["mean"])
    assert written["starting_points"][0]["found"] == 0  # Re-MP alone retrieves nothing
    notes = "\n".join(comparison.notes)
    assert "DAVIS 2017 val, offline" in notes
    assert "composites val, 1 videos, 2 objects" in notes
    assert "Not run: MSK (ResNet-101). there is no weights file at nowhere.safetensors" in notes
    assert "plain.safetensors" in notes
    printed = capsys.readouterr().out
    assert comparison.to_markdown().strip() in printed
    assert (tmp_path / "table1.md").read_text() == comparison.to_markdown()
    assert r"\toprule" in (tmp_path / "table1.tex").read_text()
    assert (tmp_path / "plots" / "Re-MP,_full" / "clip.png").stat().st_size > 1000


def test_figure_6_by_attribute(files, tmp_path):
    comparison = run("fig6", files, tmp_path)
    assert comparison.columns == ("Re-MP, no attention", "Re-MP, full", "+ Re-ID")
    rows = {row.name: row.ours for row in comparison.rows}
    assert rows["size: large (2)"]["Re-MP, full"] is not None  # 256 of 4800 pixels
    assert rows["size: small (0)"]["Re-MP, full"] is None
    assert not comparison.has_paper
    assert (tmp_path / "fig6.png").stat().st_size > 1000


def test_table_5_has_the_column_of_the_data_set(files, tmp_path):
    listing = Path(files) / "data" / "ImageSets" / "2016" / "val.txt"
    listing.parent.mkdir(exist_ok=True)
    listing.write_text("clip\n")
    sets = ["inference.iterative.max_rounds=1", f"weights={files / 'full.safetensors'}"]
    more = [
        "online_per_dataset.weights=nowhere.safetensors",
        "online_per_video.weights=no/{sequence}.safetensors",
    ]
    comparison = run("table5", files, tmp_path, dataset="davis2016", overrides=[*sets, *more])
    rows = {row.name: row for row in comparison.rows}
    assert comparison.columns == ("J",)
    assert rows["OSVOS"].paper == {"J": 79.8}
    assert rows["DyeNet, offline"].paper == {"J": 84.7}
    assert rows["DyeNet, offline"].ours["J"] > 0
    assert rows["DyeNet, per-video"].paper is None
    assert any("no/clip.safetensors" in note for note in comparison.notes)


def test_wrong_names_and_missing_truth(files, tmp_path):
    with pytest.raises(InputError, match="there is no experiment 'table9'"):
        run("table9", files, tmp_path)
    with pytest.raises(
        InputError, match="no cell of table1 could be run; the first: there is no weights file"
    ):
        run("table1", files, tmp_path, overrides=["weights=nowhere.safetensors"])


def test_markdown_and_latex():
    rows = [Row("a_b", {"J": 50.0}, {"J": 61.26, "F": None}), Row("ours only", None, {"J": 1.0, "F": 2.0})]
    table = Comparison("Title", "Source 100%", ("J", "F"), rows, ["a note"])
    assert table.to_markdown().splitlines() == [
        "**Title** (Source 100%)",
        "",
        "|           | J paper | F paper | J ours | F ours |",
        "| --------- | ------: | ------: | -----: | -----: |",
        "| a_b       |    50.0 |       - |   61.3 |      - |",
        "| ours only |       - |       - |    1.0 |    2.0 |",
        "",
        "* a note",
    ]
    latex = table.to_latex()
    assert r"a\_b & 50.0 & - & 61.3 & - \\" in latex
    assert r"\caption{Title (Source 100\%). a note}" in latex
    assert r"\begin{tabular}{lrrrr}" in latex


def test_bars_of_a_category_without_objects(tmp_path):
    means = {"size": {"small": (None, 0), "large": (0.5, 3)}}
    plot_attributes(tmp_path / "bars.png", {"one stage": means})
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
