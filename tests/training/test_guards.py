"""What stops a training, and what the user then reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import TINY, build_stage, draw_clips, logged

from dyenet.data.segmentation import PlainImages
from dyenet.errors import ConfigError, InputError, WeightsError
from dyenet.training.runner import train
from dyenet.training.stage import DivergedError


def test_a_loss_that_is_not_finite_names_the_files_of_the_batch():
    stage = build_stage().train()
    clips = draw_clips(2)
    with torch.no_grad():
        stage.network.reid_head.mask_conv5.blocks[0].conv1.weight.fill_(float("nan"))
    with pytest.raises(DivergedError) as stop:
        stage.parse_losses(stage(clips))
    for clip in clips:
        assert clip.sources[0] in str(stop.value)
    assert "loss_mask nan" in str(stop.value)


def test_training_stops_before_the_weights_are_spoilt(tmp_path):
    with pytest.raises(DivergedError, match="synthetic scene"):
        train(
            "debug/joint.py",
            work_dir=tmp_path / "run",
            overrides=[
                *TINY,
                "max_iters=20",
                "checkpoint_interval=1",
                "optim_wrapper.optimizer={'type': 'SGD', 'lr': 1e18}",
                "optim_wrapper.clip_grad=None",
            ],
        )


@pytest.mark.timeout(60)
def test_a_data_set_that_is_absent_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path / "nowhere")):
        train(
            "dyenet/small_joint.py",
            work_dir=tmp_path / "run",
            overrides=[f"data_root={tmp_path / 'nowhere'}"],
        )


def test_weights_to_start_from_that_are_absent_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*gone\.safetensors"):
        train(
            "debug/joint.py",
            work_dir=tmp_path / "run",
            overrides=[*TINY, f"model.init_from={tmp_path / 'gone.safetensors'}"],
        )


def test_freezing_what_the_network_lacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="freeze names 'backbone'"):
        train("debug/joint.py", work_dir=tmp_path / "run", overrides=[*TINY, "model.freeze=['backbone']"])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(2):
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / f"{index}.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 and no more")
    return folder


def distill(pictures: Path, skip: bool) -> Path:
    data = {"type": "PlainImages", "roots": [str(pictures)], "size": (32, 48), "skip_corrupt": skip}
    return train(
        "debug/distill.py",
        work_dir=pictures.parent / "run",
        overrides=["max_iters=4", f"train_dataloader.dataset={data}"],
    )


def test_a_broken_image_stops_the_training_with_its_name(pictures):
    with pytest.raises(InputError, match=r"broken\.jpg"):
        distill(pictures, skip=False)


def test_a_broken_image_is_skipped_with_a_count_where_that_is_allowed(pictures):
    with pytest.warns(UserWarning, match=r"skipped 1 clips so far; the last: .*broken\.jpg"):
        work_dir = distill(pictures, skip=True)
    assert len(logged(work_dir)) == 4
    clips = PlainImages(roots=[str(pictures)], size=(32, 48), skip_corrupt=True)
    with pytest.warns(UserWarning, match=r"broken\.jpg"):
        sources = {clips[i].sources[0] for i in range(20)}
    assert sources == {str(pictures / "0.jpg"), str(pictures / "1.jpg")}
