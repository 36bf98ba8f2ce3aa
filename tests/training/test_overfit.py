"""`small` learns one clip by heart, and the real inference code then gives its masks back."""

from __future__ import annotations

import os

import pytest
import torch

from dyenet.config import load_config
from dyenet.data.clips import VideoClips
from dyenet.data.clips_files import save_sequence
from dyenet.data.synthetic import generate_clip
from dyenet.training.runner import build_runner
from dyenet.training.validation import validate

ITERATIONS = 250


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_small_learns_one_clip(tmp_path):
    torch.set_num_threads(os.cpu_count() or 1)
    clip = generate_clip(3, num_frames=12, size=(224, 352), num_objects=2, occluders=0, leave=False)
    save_sequence(tmp_path / "davis", "one", clip.frames, clip.masks, "val")
    config = load_config(
        "dyenet/small_joint.py", [f"max_iters={ITERATIONS}", "optim_wrapper.optimizer.lr=1e-3"]
    )
    config.model.init_from = None
    config.model.network = load_config("dyenet/small_distill.py").model.network  # its batch norms learn, too
    config.train_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    data = VideoClips(
        root=str(tmp_path / "davis"),
        split="val",
        size=(224, 352),
        num_frames=6,
        length=ITERATIONS,
        augmentation=dict(scale=(0.8, 1.0), flip=0.0, colour=0.0, grey=0.0, blur=0.0),
    )
    folder = tmp_path / "training"
    build_runner(config, folder, dataset=data).train()
    scores = validate(folder / "final.safetensors", str(tmp_path / "davis"), "val")
    assert scores["one"] > 0.9
