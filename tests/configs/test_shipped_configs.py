"""Every shipped training config builds its stage, its data set and its optimiser, and trains one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

import dyenet.training.runner  # noqa: F401  (registers the stages)
from dyenet.config import configs_dir, load_config
from dyenet.data.clips import SyntheticClips
from dyenet.errors import InputError
from dyenet.registry import DATASETS, MODELS
from dyenet.structures import Clip
from dyenet.training.optim import optim_wrapper_config
from dyenet.training.runner import collate

FRAMES = dict(short_side=64, long_side=96)
SMALL = {"FasterRCNN": {**FRAMES, "rois_per_image": 8}, "IdentificationNet": FRAMES}
TRAININGS = sorted(
    f"{path.parent.name}/{path.name}"
    for kind in ("dyenet", "vsreid", "msk")
    for path in (configs_dir() / kind).glob("*.py")
    if "train_dataloader" in load_config(path)
)


def shrunk(block: Any) -> Any:
    """A config block with inputs and patches so small that the paper's networks take a second or two."""
    if not isinstance(block, dict):
        return block
    small = {k: 17 if k == "patch_size" else shrunk(v) for k, v in block.items()}
    return {**small, **SMALL.get(str(block.get("type")), {})}


def prepared(name: str) -> Config:
    """The config on small patches, with nothing of what lies outside the project: no weights, our own teacher."""
    cfg = load_config(name)
    cfg.model.init_from = None
    if cfg.model.get("teacher"):
        cfg.model.teacher = dict(type="SmallTrunk")
    if cfg.model.get("cache"):
        cfg.model.cache = None
    if cfg.model.network is None:
        cfg.model.network = load_config("dyenet/small.py").model
    cfg.model.network = shrunk(cfg.model.network.to_dict())
    trunk = cfg.model.network.get("trunk", {})
    if trunk.get("type") == "ExternalTrunk" and not Path(trunk.file).is_file():
        pytest.skip(f"the trunk of {name}, {trunk.file}, is not on this machine")
    return cfg


@pytest.mark.parametrize("name", TRAININGS)
def test_it_trains_one_step(name):
    cfg = prepared(name)
    frames = 3 + cfg.model.get("recurrence", {}).get("rollout", 0)
    data = SyntheticClips(size=(64, 96), num_frames=frames, num_scenes=2, length=2, estimated_flow=0.0)
    if cfg.model.get("num_identities") == "auto":
        cfg.model.num_identities = data.num_identities
    torch.manual_seed(0)
    stage = MODELS.build(cfg.model.to_dict()).train()
    block = optim_wrapper_config(cfg.optim_wrapper.to_dict(), "float32")
    optim_wrapper = build_optim_wrapper(stage, {**block, "accumulative_counts": 1})
    for scheduler in cfg.get("param_scheduler", []):
        PARAM_SCHEDULERS.build({"end": cfg.max_iters, **scheduler, "optimizer": optim_wrapper})
    with torch.no_grad():
        for parameter in stage.parameters():  # a layer that starts at 0 hides those before it
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.01)
        stage.losses([data[0], data[1]])
        stage.after_step()  # an OIM table has nothing to compare with before
    before = {k: p.detach().clone() for k, p in stage.named_parameters() if p.requires_grad}
    sum(stage.losses([data[0]]).values()).backward()  # without the term that touches every parameter
    after = dict(stage.named_parameters())
    assert [k for k in before if after[k].grad is None] == []
    assert [k for k in before if not k.endswith("bias") and not after[k].grad.any()] == []
    optim_wrapper.step()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    stage.after_step()
    optim_wrapper.zero_grad()
    empty = Clip(data[0].frames, torch.zeros_like(data[0].masks), data[0].flow, [], data[0].sources)
    loss, _ = stage.parse_losses(stage(**collate([empty])))
    loss.backward()
    assert torch.isfinite(loss)
    assert [k for k in before if after[k].grad is None] == []


@pytest.mark.parametrize("name", TRAININGS)
def test_its_data_set_is_built_or_says_what_is_missing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no data here
    with pytest.raises(InputError, match=r"missing|no |not "):
        DATASETS.build(load_config(name).train_dataloader.dataset.to_dict())


def test_the_trainings_are_found():
    assert {"dyenet/small_joint.py", "vsreid/r101_flow.py", "msk/msk_small.py"} <= set(TRAININGS)
