"""Two processes with a batch of 1 each do what one process does with a batch of 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import TINY, losses_of

from dyenet.models.weights import read_weights
from dyenet.training.checkpoints import read_checkpoint
from dyenet.training.runner import train

STEPS = 3
TOLERANCE = 2e-4
"""Of the loss: sums come in another order, and the steps carry that on."""
# The RPN is out: it draws its anchors per process. So are proposals, for the same reason. The rate is low, since
# normalised features of a random network have large gradients, and large steps blow up the rounding.
COMMON = [
    *TINY,
    f"max_iters={STEPS}",
    "model.rpn_weight=0.0",
    "model.rois.proposals=False",
    "model.num_identities=32",
    "optim_wrapper.optimizer={'type': 'SGD', 'lr': 0.005, 'momentum': 0.9}",
]
WORKER = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
import torch.distributed as dist
from dyenet.config import load_config
from dyenet.training.hooks import stage_of
from dyenet.training.runner import build_runner
folder, *overrides = sys.argv[1:]
runner = build_runner(load_config("debug/joint.py", overrides), Path(folder) / "two")
log = []
parse = type(stage_of(runner)).parse_losses
def logged(self, losses):
    total, values = parse(self, losses)
    log.append(float(total.detach()))
    return total, values
type(stage_of(runner)).parse_losses = logged
runner.train()
oim = {k: v for k, v in stage_of(runner).oim.named_buffers()}
torch.save({"losses": log, "oim": oim}, Path(folder) / f"rank{dist.get_rank()}.pth")
dist.destroy_process_group()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """one/ by this process, two/ and rank*.pth by two."""
    folder = tmp_path_factory.mktemp("processes")
    port = str(free_port())
    processes = []
    for rank in range(2):
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
        }
        command = [sys.executable, "-c", WORKER, str(folder), *COMMON, "train_dataloader.batch_size=1"]
        processes.append(
            subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
    train("debug/joint.py", work_dir=folder / "one", overrides=[*COMMON, "train_dataloader.batch_size=2"])
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()[-3000:]
    return folder


def test_losses_are_those_of_one_process_step_for_step(runs):
    ranks = [torch.load(runs / f"rank{r}.pth", weights_only=True)["losses"] for r in range(2)]
    together = [(a + b) / 2 for a, b in zip(*ranks, strict=True)]
    alone = losses_of(runs / "one")
    assert len(together) == STEPS
    assert together == pytest.approx([alone[i + 1] for i in range(STEPS)], rel=TOLERANCE)
    assert ranks[0] != ranks[1]  # each had clips of its own


def test_the_oim_table_is_the_same_on_all_ranks_and_that_of_one_process(runs):
    first, second = (torch.load(runs / f"rank{r}.pth", weights_only=True)["oim"] for r in range(2))
    assert first["seen"].any()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    alone = read_checkpoint(runs / "one" / f"iter_{STEPS}.pth")["state_dict"]
    assert torch.equal(alone["oim.seen"], first["seen"])
    assert torch.allclose(alone["oim.table"], first["table"], atol=1e-3)


def test_weights_come_out_alike(runs):
    one, two = (read_weights(runs / name / "final.safetensors")[0] for name in ("one", "two"))
    worst = max(float((one[k] - two[k]).abs().max()) for k in one if one[k].is_floating_point())
    assert worst < 2e-3  # stored as float16
