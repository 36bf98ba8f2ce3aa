"""scripts/convert_weights.py: a state dict of torchvision's names becomes a file that a training can start from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50

from dyenet.models.weights import read_weights

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_weights.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_imagenet_into_r50(tmp_path):
    torch.manual_seed(0)
    state = resnet50().state_dict()
    torch.save(state, tmp_path / "resnet50.pth")
    out = tmp_path / "r50.safetensors"
    done = run("imagenet", "dyenet/r50.py", out, "--state", tmp_path / "resnet50.pth")
    assert done.returncode == 0, done.stderr
    ours, config, extra = read_weights(out)
    assert config.model.trunk.depth == 50
    assert extra["parent"]["file"].endswith("resnet50.pth")
    torch.testing.assert_close(
        ours["trunk.layer3.2.conv2.weight"], state["layer3.2.conv2.weight"].half().float()
    )
    key = "reid_head.embedding_conv5.blocks.1.conv3.weight"
    torch.testing.assert_close(ours[key], state["layer4.1.conv3.weight"].half().float())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["deeplabv3", "msk/msk_small.py", "out.safetensors"], "deeplabv3 has nothing for the MSK of"),
        (["vsreid", "vsreid/r101_released.py", "out.safetensors"], "give their file with --state"),
        (
            ["imagenet", "dyenet/r50.py", "out.safetensors", "--state", __file__],
            "cannot be read as a state dict",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
