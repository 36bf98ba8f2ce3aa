"""What only a GPU can show: ``pytest -m gpu``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyenet.data.synthetic import SyntheticClip, generate_clip
from dyenet.inference.loading import load_model
from dyenet.inference.session import VideoSession
from dyenet.structures import ArrayVideo
from dyenet.training.plot import read_log
from dyenet.training.runner import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return generate_clip(5, num_frames=12, size=(192, 256), num_objects=2)


def labels(clip: SyntheticClip, device: str, dtype: str) -> np.ndarray:
    with VideoSession(load_model("small", device=device, dtype=dtype), ArrayVideo(clip.frames)) as session:
        session.add_masks(0, clip.masks[0])
        result = session.run()
    return np.stack([result.labels(t) for t in range(len(clip.frames))])


@pytest.mark.parametrize(("dtype", "share"), [("float32", 0.97), ("bfloat16", 0.93)])
def test_a_gpu_labels_pixels_as_a_cpu_does(clip, dtype, share):
    here, there = labels(clip, "cpu", "float32"), labels(clip, "cuda", dtype)
    assert set(np.unique(here[-1])) == {0, 1, 2}
    either = (here > 0) | (there > 0)
    assert (here == there)[either].mean() > share


def test_training_in_bfloat16_lowers_the_loss(tmp_path):
    work_dir = train("debug/joint.py", work_dir=tmp_path / "joint", overrides=["precision=bfloat16"])
    losses = [row["loss_mask"] + row["loss_remp"] for row in read_log(work_dir) if "loss_mask" in row]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
