"""The debug config made smaller still, and what tests do with it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.config import Config

from dyenet.config import load_config
from dyenet.data.clips import SyntheticClips
from dyenet.registry import MODELS
from dyenet.structures import Clip
from dyenet.training.joint import JointTraining

TINY = [
    "train_dataloader.dataset.size=(48, 64)",
    "train_dataloader.dataset.num_frames=2",
    "model.rois.max_per_image=2",
]


def tiny_config(name: str = "debug/joint.py", overrides: list[str] | None = None) -> Config:
    return load_config(name, [*TINY, *(overrides or [])])


def build_stage(overrides: list[str] | None = None) -> JointTraining:
    """The joint stage of the debug config with random weights."""
    config = tiny_config(overrides=["model.num_identities=32", *(overrides or [])])
    torch.manual_seed(0)
    return MODELS.build(config.model.to_dict())


def draw_clips(count: int = 2, num_frames: int = 3) -> list[Clip]:
    data = SyntheticClips(size=(48, 64), num_frames=num_frames, num_scenes=4, estimated_flow=0.0)
    return [data[i] for i in range(count)]


def logged(work_dir: Path) -> dict[int, dict[str, float]]:
    """What the run (or the runs, resumed) in ``work_dir`` logged, by iteration."""
    rows: dict[int, dict[str, float]] = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "loss" in row:
                rows[row["step"]] = row
    return rows


def losses_of(work_dir: Path) -> dict[int, float]:
    return {step: row["loss"] for step, row in logged(work_dir).items()}
