"""Online fine-tuning: first frames only, the old weights kept, the new ones say where they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import losses_of

from dyenet.config import load_config
from dyenet.data.clips_files import save_sequence
from dyenet.data.synthetic import generate_clip
from dyenet.errors import ConfigError
from dyenet.inference.loading import load_model
from dyenet.models.weights import file_sha256, read_weights, save_network
from dyenet.registry import MODELS
from dyenet.training.finetune import finetune, finetune_on_masks


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.manual_seed(0)
    config = load_config("_base_/models/tiny.py")
    save_network(MODELS.build(config.model), config, tmp_path / "offline.safetensors")
    return tmp_path / "offline.safetensors"


@pytest.fixture
def davis(tmp_path) -> Path:
    for seed, name in enumerate(("ant", "bee")):
        clip = generate_clip(seed, num_frames=3, size=(64, 96), num_objects=2)
        save_sequence(tmp_path / "davis", name, clip.frames, clip.masks, "val")
    return tmp_path / "davis"


def settings(weights: Path, davis: Path) -> list[str]:
    return [
        f"model.init_from={weights}",
        f"train_dataloader.dataset.root={davis}",
        "train_dataloader.dataset.size=(48, 64)",
        "train_dataloader.dataset.num_frames=5",
        "max_iters=3",
        "video_iters=2",
        "log_interval=1",
    ]


def test_per_data_set_one_network_that_names_its_parent_and_frames(weights, davis, tmp_path):
    before = file_sha256(weights)
    folder = finetune("dyenet/online.py", work_dir=tmp_path / "run", overrides=settings(weights, davis))
    state, config, extra = read_weights(folder / "final.safetensors")
    assert extra["parent"] == {"file": str(weights), "sha256": before}
    assert extra["frames"] == [str(davis / f"JPEGImages/480p/{n}/00000.jpg") for n in ("ant", "bee")]
    assert len(losses_of(folder)) == 3
    assert config.model.patch_size == 14  # the network of the weights file
    assert any(not torch.equal(state[k], v) for k, v in read_weights(weights)[0].items())
    assert file_sha256(weights) == before


def test_per_video_one_network_each_that_saw_its_own_frame(weights, davis, tmp_path):
    folder = finetune(
        "dyenet/online.py", scope="video", work_dir=tmp_path / "run", overrides=settings(weights, davis)
    )
    for name in ("ant", "bee"):
        extra = read_weights(folder / name / "final.safetensors")[2]
        assert extra["frames"] == [str(davis / f"JPEGImages/480p/{name}/00000.jpg")]
        assert extra["iterations"] == 2
    shutil.rmtree(folder / "bee")
    kept = (folder / "ant" / "final.safetensors").stat().st_mtime_ns
    finetune("dyenet/online.py", scope="video", work_dir=folder, overrides=settings(weights, davis))
    assert (folder / "ant" / "final.safetensors").stat().st_mtime_ns == kept
    assert (folder / "bee" / "final.safetensors").is_file()
    for other in ("video_iters=1", "optim_wrapper.optimizer.lr=1e-5"):
        with pytest.raises(ConfigError, match="other settings"):
            finetune(
                "dyenet/online.py",
                scope="video",
                work_dir=folder,
                overrides=[*settings(weights, davis), other],
            )


def test_it_goes_back_most_of_the_way_to_the_weights_tuned_from(weights, davis, tmp_path):
    def tuned(share: float) -> dict[str, torch.Tensor]:
        hook = {"type": "WeightEnsembleHook", "share": share}
        folder = finetune(
            "dyenet/online.py",
            work_dir=tmp_path / str(share),
            overrides=[
                *settings(weights, davis),
                f"custom_hooks=[{hook}]",
                "optim_wrapper.optimizer.lr=0.01",
            ],
        )
        return read_weights(folder / "final.safetensors")[0]

    start = {k: v for k, v in read_weights(weights)[0].items() if v.is_floating_point()}
    end = tuned(1.0)
    assert any((start[k] - end[k]).abs().max() > 0.02 for k in start)
    for share in (0.0, 0.25):
        kept = tuned(share)
        for key, value in start.items():
            wanted = value + share * (end[key] - value)
            torch.testing.assert_close(kept[key], wanted, rtol=1e-3, atol=1e-3)  # they are kept as fp16


def test_only_first_frames_are_opened(weights, davis, tmp_path):
    for path in davis.glob("JPEGImages/480p/*/0000[12].jpg"):
        path.write_bytes(b"never read")
    folder = finetune("dyenet/online.py", work_dir=tmp_path / "run", overrides=settings(weights, davis))
    assert (folder / "final.safetensors").is_file()


def test_the_weights_tuned_from_are_not_overwritten(weights, davis, tmp_path):
    target = tmp_path / "final.safetensors"
    weights.rename(target)
    before = file_sha256(target)
    with pytest.raises(ConfigError, match="would replace"):
        finetune("dyenet/online.py", work_dir=tmp_path, overrides=settings(target, davis))
    assert file_sha256(target) == before


def test_what_cannot_be_tuned_is_said(davis, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.init_from"):
        finetune("dyenet/online.py", work_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="dataset or video"):
        finetune("dyenet/online.py", scope="frame")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="FirstFrameClips"):
        finetune("debug/joint.py", work_dir=tmp_path / "run")


def test_on_given_masks_a_tuned_copy_comes_back(weights, tmp_path):
    clip = generate_clip(0, num_frames=2, size=(64, 96), num_objects=2)
    model = load_model(weights, device="cpu", dtype="float32", fuse=False)
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    tuned = finetune_on_masks(
        model,
        [(clip.frames[0], np.where(clip.masks[0] == 1, 7, 0).astype(np.uint8))],
        work_dir=tmp_path / "online",
        iterations=2,
        overrides=["train_dataloader.dataset.size=(48, 64)"],
    )
    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())
    assert tuned.weights["parent"]["file"] == str(weights)
    assert tuned.weights["frames"] == ["given frame 0"]
    assert tuned.inference == model.inference
    state = read_weights(tmp_path / "online" / "final.safetensors")[0]
    assert any(not torch.equal(v, before[k].half().float()) for k, v in state.items())
