"""The debug configs of VS-ReID's parts and of MSK train, and their loss falls."""

from __future__ import annotations

import pytest

import dyenet.training.baselines  # noqa: F401  (registers the stages)
from dyenet.config import configs_dir
from dyenet.training.plot import read_log
from dyenet.training.runner import train

# config -> the fraction of the mean of the first three losses that the mean of the last three is to be below
FALLS = {"rgb": 0.9, "flow": 0.9, "joint": 0.9, "detector": 0.9, "identification": 0.8, "msk": 0.9}
# OIM tells an identity only from those that its table holds already, so its loss rises until it holds them all
BEFORE = {"identification": 6}


@pytest.mark.parametrize("name", FALLS)
def test_the_loss_of_a_baseline_falls(name, tmp_path):
    folder = train(f"debug/baselines/{name}.py", work_dir=tmp_path / name)
    values = [row["loss"] for row in read_log(folder) if "loss" in row]
    assert len(values) == 30
    begin = BEFORE.get(name, 0)
    first, last = sum(values[begin : begin + 3]) / 3, sum(values[-3:]) / 3
    assert last < FALLS[name] * first, f"{first:.3f} -> {last:.3f}"


def test_every_debug_config_of_a_baseline_is_listed():
    assert {p.stem for p in (configs_dir() / "debug" / "baselines").glob("*.py")} == set(FALLS)
