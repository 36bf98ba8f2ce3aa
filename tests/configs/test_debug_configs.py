"""Every debug config trains, and what it is to learn falls below a stated fraction of where it began."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyenet.config import configs_dir
from dyenet.data.clips_files import save_sequence
from dyenet.data.synthetic import generate_clip
from dyenet.training.finetune import finetune
from dyenet.training.plot import read_log
from dyenet.training.runner import train

# config -> (losses that are added, the fraction of the first three values that the last three are to be below)
FALLS = {
    "joint": (["loss_mask", "loss_remp"], 0.9),
    "rpn": (["loss"], 0.8),
    "distill": (["loss"], 0.9),
    "segmentation": (["loss"], 0.8),
    "finetune": (["loss_mask", "loss_remp"], 0.9),
}


def trained(name: str, tmp_path: Path) -> Path:
    if name != "finetune":
        return train(f"debug/{name}.py", work_dir=tmp_path / name)
    clip = generate_clip(0, num_frames=2, size=(64, 96), num_objects=2)
    save_sequence(tmp_path / "davis", "one", clip.frames, clip.masks, "val")
    root = f"train_dataloader.dataset.root={tmp_path / 'davis'}"
    return finetune(f"debug/{name}.py", work_dir=tmp_path / name, overrides=[root])


@pytest.mark.parametrize("name", FALLS)
def test_the_loss_falls(name, tmp_path):
    keys, fraction = FALLS[name]
    values = [sum(row[key] for key in keys) for row in read_log(trained(name, tmp_path)) if keys[0] in row]
    assert len(values) == 30
    first, last = sum(values[:3]) / 3, sum(values[-3:]) / 3
    assert last < fraction * first, f"{keys}: {first:.3f} -> {last:.3f}"


def test_every_debug_config_is_listed_here():
    assert {p.stem for p in (configs_dir() / "debug").glob("*.py")} == set(FALLS)
