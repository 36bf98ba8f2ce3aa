"""Fixed seeds give identical losses; a training that was cut short or killed goes on as if it had not been."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from tiny_training import TINY, losses_of

from dyenet.config import load_config
from dyenet.errors import ConfigError, WeightsError
from dyenet.models.weights import read_weights
from dyenet.training.checkpoints import find_latest, read_checkpoint, write_atomically
from dyenet.training.runner import build_runner, train

STEPS = 6
SCHEDULE = [*TINY, f"max_iters={STEPS}", "checkpoint_interval=3"]
EMA = "custom_hooks=[{'type': 'EMAHook', 'momentum': 0.1}]"


def run(work_dir: Path, *overrides: str, resume: bool = False) -> dict[int, float]:
    train("debug/joint.py", work_dir=work_dir, resume=resume, overrides=[*SCHEDULE, *overrides])
    return losses_of(work_dir)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """Six iterations without interruption."""
    work_dir = tmp_path_factory.mktemp("straight")
    run(work_dir)
    return work_dir


def stopped_after(work_dir: Path, iteration: int) -> None:
    """Leaves in ``work_dir`` what a training has that was killed after the checkpoint of ``iteration``."""
    for path in work_dir.glob("iter_*.pth"):
        if path.name != f"iter_{iteration}.pth":
            path.unlink()
    (work_dir / "final.safetensors").unlink()


def test_the_same_seed_gives_the_same_losses_and_another_does_not(straight, tmp_path):
    first = losses_of(straight)
    assert sorted(first) == list(range(1, STEPS + 1))
    assert run(tmp_path / "again") == first
    assert run(tmp_path / "other", "seed=1", "max_iters=1")[1] != first[1]


def test_a_training_may_be_shorter_than_its_warm_up(tmp_path):
    config = load_config("debug/joint.py", [*SCHEDULE, "max_iters=2"])
    config.param_scheduler = load_config("_base_/schedules/small.py").param_scheduler
    build_runner(config, tmp_path).train()
    assert sorted(losses_of(tmp_path)) == [1, 2]


def test_resumed_after_a_checkpoint_the_losses_and_weights_are_the_same(straight, tmp_path):
    work_dir = tmp_path / "resumed"
    run(work_dir)
    before = {p: p.stat().st_mtime_ns for p in work_dir.glob("*/vis_data/scalars.json")}
    stopped_after(work_dir, 3)
    run(work_dir, resume=True)
    (new,) = [p for p in work_dir.glob("*/vis_data/scalars.json") if p not in before]
    resumed = {k: v for k, v in losses_of(work_dir).items() if k > 3}
    assert new.read_text().count('"loss"') == 3  # it did not begin anew
    assert resumed == {k: v for k, v in losses_of(straight).items() if k > 3}
    states = [read_weights(d / "final.safetensors")[0] for d in (straight, work_dir)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_where_the_weights_begun_from_count_nothing_is_resumed(straight, tmp_path):
    hook = {"type": "WeightEnsembleHook", "share": 0.5}
    shutil.copytree(straight, tmp_path / "run")
    stopped_after(tmp_path / "run", STEPS)
    with pytest.raises(ConfigError, match="cannot be resumed"):
        run(tmp_path / "run", f"custom_hooks=[{hook}]", "max_iters=8", resume=True)
    with pytest.raises(ConfigError, match="share is 2"):
        run(tmp_path / "other", f"custom_hooks=[{hook | {'share': 2}}]")


def test_moving_averages_are_resumed_too(tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    run(straight, EMA, "max_iters=4", "checkpoint_interval=2")
    run(resumed, EMA, "max_iters=4", "checkpoint_interval=2")
    stopped_after(resumed, 2)
    run(resumed, EMA, "max_iters=4", "checkpoint_interval=2", resume=True)
    states = [read_weights(d / "final.safetensors")[0] for d in (straight, resumed)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    raw = read_checkpoint(straight / "iter_4.pth")
    assert set(raw) >= {"state_dict", "ema_state_dict"}
    key = next(k for k in raw["state_dict"] if k.startswith("network."))
    # mmengine keeps the average under state_dict: that is what the exported weights hold
    assert torch.equal(states[0][key.removeprefix("network.")], raw["state_dict"][key].half().float())


DRIVER = """
import os, signal, sys, torch
torch.set_num_threads(1)
from dyenet.training import checkpoints, joint, runner
work_dir, where, *overrides = sys.argv[1:]
calls = [0]
if where == "step":
    losses = joint.JointTraining.losses
    def killed(self, clips):
        calls[0] += 1
        if calls[0] == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses(self, clips)
    joint.JointTraining.losses = killed
elif where == "write":
    fsync = os.fsync
    def killed(handle):
        calls[0] += 1
        if calls[0] == 3:  # the second checkpoint: the first and its pointer are 1 and 2
            os.ftruncate(handle, 1000)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)
    os.fsync = killed
elif where == "pointer":
    replace = os.replace
    def killed(source, target):
        if str(target).endswith("last_checkpoint"):
            calls[0] += 1
            if calls[0] == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
    os.replace = killed
runner.train("debug/joint.py", work_dir=work_dir, overrides=overrides)
"""


@pytest.mark.parametrize("where", ["step", "write", pytest.param("pointer", marks=pytest.mark.slow)])
def test_killed_it_goes_on_with_the_same_losses(straight, tmp_path, where):
    work_dir = tmp_path / "killed"
    process = subprocess.run(
        [sys.executable, "-c", DRIVER, str(work_dir), where, *SCHEDULE],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    assert find_latest(work_dir) == work_dir / "iter_3.pth"
    run(work_dir, resume=True)
    assert losses_of(work_dir) == losses_of(straight)
    assert (work_dir / "final.safetensors").is_file()


def test_a_folder_with_a_training_is_not_written_over_unasked(straight):
    with pytest.raises(ConfigError, match="--resume"):
        run(straight)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "iter_3.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"iter_3\.pth is damaged"):
        run(tmp_path, resume=True)


def test_resuming_in_an_empty_folder_begins(tmp_path):
    assert sorted(run(tmp_path / "new", "max_iters=1", resume=True)) == [1]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "iter_1.pth"
    write_atomically(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, {"a": 2})
    assert read_checkpoint(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["iter_1.pth"]


def test_latest_is_found_by_number_where_the_pointer_is_lost(tmp_path):
    for number in (200, 1000, 30):
        (tmp_path / f"iter_{number}.pth").touch()
    assert find_latest(tmp_path) == tmp_path / "iter_1000.pth"
    (tmp_path / "last_checkpoint").write_text("iter_200.pth")
    assert find_latest(tmp_path) == tmp_path / "iter_200.pth"
    assert find_latest(tmp_path / "nowhere") is None


def test_a_log_is_closed_with_its_training(tmp_path):
    run(tmp_path / "run", "max_iters=1")
    handlers = MMLogger.get_current_instance().handlers
    assert handlers
    assert not any(isinstance(handler, logging.FileHandler) for handler in handlers)
