"""`small` learns one composite by heart, and the real inference code then gives its masks back.

Two objects; one leaves the frame and comes back.
"""

from __future__ import annotations

import os

import pytest
import torch

from dyenet.config import load_config
from dyenet.data.clips import VideoClips
from dyenet.data.clips_files import find_videos, save_sequence
from dyenet.data.compositing import compose_video
from dyenet.data.synthetic import generate_clip
from dyenet.training.runner import build_runner
from dyenet.training.validation import validate

ITERATIONS = 250


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_small_learns_one_clip(tmp_path):
    torch.set_num_threads(os.cpu_count() or 1)
    alone = dict(num_objects=1, occluders=0, distractors=0, occlusion=False, leave=False)
    for seed in (0, 2, 7):
        source = generate_clip(seed, num_frames=40, size=(224, 352), **alone)
        save_sequence(tmp_path / "sources", f"source-{seed}", source.frames, source.masks, "val")
    sources = find_videos(str(tmp_path / "sources"), "val")
    clip = compose_video(1, sources, num_frames=40, num_objects=2, size=(224, 352), event="leave")
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
        max_step=1,
        length=ITERATIONS,
        augmentation=dict(scale=(0.8, 1.0), flip=0.0, colour=0.0, grey=0.0, blur=0.0),
    )
    folder = tmp_path / "training"
    build_runner(config, folder, dataset=data).train()
    scores = validate(folder / "final.safetensors", str(tmp_path / "davis"), "val")
    assert scores["one"] > 0.9
