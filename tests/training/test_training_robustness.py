"""Precision, Slurm, accumulation, validation's names: what goes wrong quietly or late unless it is looked for."""

from __future__ import annotations

import json
import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from tiny_training import TINY, build_stage, draw_clips, losses_of

from dyenet.data.clips_files import save_sequence
from dyenet.data.synthetic import generate_clip
from dyenet.errors import ConfigError, InputError
from dyenet.models.weights import read_weights
from dyenet.training.checkpoints import write_atomically
from dyenet.training.optim import optim_wrapper_config
from dyenet.training.runner import start_processes, train
from dyenet.training.stage import DivergedError
from dyenet.training.validation import choose_videos


def test_a_precision_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="'precision' is 'fp16'; it may be 'auto', 'float32', 'bfloat16'"):
        optim_wrapper_config({}, "fp16")  # type: ignore[arg-type]


def test_bf16_on_a_cpu_trains_with_float32_weights(tmp_path):
    work_dir = train(
        "debug/joint.py",
        work_dir=tmp_path / "run",
        overrides=[*TINY, "max_iters=2", "precision='bfloat16'"],
    )
    assert sorted(losses_of(work_dir)) == [1, 2]
    optimizer = torch.load(work_dir / "iter_2.pth", weights_only=True)["optimizer"]
    assert {s["exp_avg"].dtype for s in optimizer["state"].values()} == {torch.float32}


def test_a_checkpoint_waits_for_the_step_of_accumulated_gradients(tmp_path):
    """Due after 2, 4 and 6 of 7 iterations; every 3 make a step, and the last one does."""
    schedule = [*TINY, "max_iters=7", "checkpoint_interval=2", "optim_wrapper.accumulative_counts=3"]
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train("debug/joint.py", work_dir=straight, overrides=schedule)
    assert sorted(p.name for p in straight.glob("iter_*.pth")) == ["iter_6.pth", "iter_7.pth"]
    resumed.mkdir()
    shutil.copy(straight / "iter_6.pth", resumed)
    train("debug/joint.py", work_dir=resumed, resume=True, overrides=schedule)
    states = [read_weights(d / "final.safetensors")[0] for d in (straight, resumed)]
    assert losses_of(resumed) == {7: losses_of(straight)[7]}
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_weights_that_a_step_spoilt_are_not_a_checkpoint_to_resume_from():
    stage = build_stage()
    stage(draw_clips(1))
    stage.check_parameters()
    with torch.no_grad():
        stage.network.propagation_head.attention.conv.weight.view(-1)[0] = float("inf")
    with pytest.raises(DivergedError, match=r"attention.* is not finite .*synthetic scene"):
        stage.check_parameters()


def test_a_checkpoint_can_be_read_by_others_and_leftovers_are_taken_up_again(tmp_path):
    path = tmp_path / "iter_1.pth"
    (tmp_path / ".iter_1.pth.partial").write_bytes(b"half of a file, then killed")
    mask = os.umask(0o022)
    try:
        write_atomically(path, {"a": torch.ones(2)})
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["iter_1.pth"]


@pytest.fixture
def davis(tmp_path) -> Path:
    for seed, name in enumerate(("ant", "bee")):
        clip = generate_clip(seed, num_frames=3, size=(64, 96), num_objects=1)
        save_sequence(tmp_path / "davis", name, clip.frames, clip.masks, "val")
    return tmp_path / "davis"


def test_validation_sequences_that_do_not_exist_are_named_before_training(davis, tmp_path):
    assert [v.name for v in choose_videos(str(davis), "val")] == ["ant", "bee"]
    assert [v.name for v in choose_videos(str(davis), "val", ["bee"])] == ["bee"]
    hook = {"type": "ValidationHook", "interval": 1000, "root": str(davis), "sequences": ["ant", "cow"]}
    with pytest.raises(InputError, match="cow are not in the split val"):
        train("debug/joint.py", work_dir=tmp_path / "run", overrides=[*TINY, f"custom_hooks=[{hook}]"])
    assert not (tmp_path / "run" / "iter_30.pth").exists()


def test_validation_keeps_the_best_weights_and_logs_the_score(davis, tmp_path):
    hook = {"type": "ValidationHook", "interval": 1, "root": str(davis), "sequences": ["ant"]}
    work_dir = train(
        "debug/joint.py",
        work_dir=tmp_path / "run",
        overrides=[*TINY, "max_iters=2", f"custom_hooks=[{hook}]"],
    )
    rows = [
        json.loads(x) for p in work_dir.glob("*/vis_data/scalars.json") for x in p.read_text().splitlines()
    ]
    scores = {row["step"]: row["val/J"] for row in rows if "val/J" in row}
    assert sorted(scores) == [1, 2]
    best = max(scores, key=lambda step: (scores[step], -step))
    assert read_weights(work_dir / "best.safetensors")[2]["iterations"] == best
    checkpoint = torch.load(work_dir / "iter_2.pth", weights_only=True)
    assert checkpoint["best_validation"] == pytest.approx(max(scores.values()))


def test_slurm_outside_of_slurm_and_unknown_launchers_are_refused(monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(ConfigError, match="srun"):
        start_processes("slurm")
    with pytest.raises(ConfigError, match="none, pytorch, slurm"):
        start_processes("mpi")  # type: ignore[arg-type]


def test_a_slurm_task_finds_its_rank_and_where_to_meet(tmp_path, monkeypatch):
    """With a ``scontrol`` that knows one node list."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\n[ \"$3\" = 'node[3-4]' ] && printf 'node3\\nnode4\\n'\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that what start_processes sets is undone
        monkeypatch.delenv(name)
    slurm = {"PROCID": "5", "NTASKS": "8", "LOCALID": "1", "JOB_ID": "41234", "JOB_NODELIST": "node[3-4]"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    groups: list[tuple[str, timedelta]] = []
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, timeout: groups.append((backend, timeout))
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    start_processes("slurm")
    assert groups == [("gloo", timedelta(hours=6))]
    found = [os.environ[n] for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")]
    assert found == ["5", "8", "1", "node3", "21234"]


def test_a_terminal_shows_a_bar_with_the_speed_and_the_time_left(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    train("debug/joint.py", work_dir=tmp_path / "bar", overrides=[*TINY, "max_iters=2"])
    shown = capfd.readouterr().err
    assert "2/2" in shown
    assert "images/s" in shown
    assert "left" in shown
