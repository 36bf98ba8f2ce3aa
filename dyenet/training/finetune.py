"""Online fine-tuning on first-frame masks only (DyeNet Sec. 4.2, "online training"; reading D25)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config

from dyenet.config import load_config, values_sha256
from dyenet.data.clips_files import find_videos, read_picture
from dyenet.data.clips_images import FirstFrameClips
from dyenet.data.masks import IndexMask
from dyenet.data.textures import Picture
from dyenet.errors import ConfigError
from dyenet.inference.loading import Model, load_model
from dyenet.models.weights import file_sha256, load_strictly, read_weights
from dyenet.training.checkpoints import find_latest
from dyenet.training.hooks import stage_of
from dyenet.training.runner import build_runner

ONLINE = "dyenet/online.py"
"""The shipped config of online fine-tuning."""


def finetune(
    config: str | Path,
    *,
    scope: Literal["dataset", "video"] = "dataset",
    work_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Tunes the weights ``model.init_from`` on the first frames of the config's data set; returns the folder.

    ``scope`` "dataset" gives one ``final.safetensors`` for all sequences after ``max_iters`` iterations, "video"
    one in ``<sequence>/`` for each after ``video_iters``; a video whose weights are there already, tuned from the
    same ones with the same settings, is not tuned again. The weights tuned from are never written to; the metadata of
    the new ones names them and the frames seen. Raises ConfigError, InputError, WeightsError.
    """
    if scope not in ("dataset", "video"):
        raise ConfigError(f"scope is '{scope}'; it may be dataset or video")
    cfg = load_config(config, overrides)
    _complete(cfg)
    folder = Path(work_dir or Path("work_dirs") / Path(str(config)).stem)
    block = cfg.train_dataloader.dataset.to_dict()
    if block.pop("type") != "FirstFrameClips":
        raise ConfigError(
            "fine-tuning sees first frames only: train_dataloader.dataset must be FirstFrameClips"
        )
    if scope == "dataset":
        _run(cfg, folder, FirstFrameClips(**block))
        return folder
    cfg.max_iters = cfg.video_iters
    cfg.settings = _fingerprint(cfg)
    for video in find_videos(block.pop("root"), block.pop("split")):
        done = folder / video.name / "final.safetensors"
        if done.is_file():
            about = read_weights(done)[2]
            if about.get("parent") != cfg.get("parent") or about.get("settings") != cfg.settings:
                raise ConfigError(
                    f"{done} was tuned from other weights or with other settings; choose another --work-dir"
                )
            print(f"{video.name}: tuned before, in {done}")
            continue
        data = FirstFrameClips(frames=[(read_picture(video.images[0]), video.mask(0))], **block)
        data.names = [str(video.images[0])]
        _run(copy.deepcopy(cfg), folder / video.name, data)
    return folder


def finetune_on_masks(
    model: Model,
    frames: Sequence[tuple[Picture, IndexMask]],
    *,
    work_dir: str | Path,
    iterations: int = 100,
    overrides: Sequence[str] = (),
) -> Model:
    """A copy of ``model`` (loaded with ``fuse=False``) tuned on the given frames of one video.

    ``frames``: pairs of a picture (H, W, 3) uint8 RGB and its index mask (H, W) uint8. ``work_dir`` gets
    ``final.safetensors`` and the log. ``overrides`` are ``key=value`` on the config ``dyenet/online.py``.
    """
    cfg = load_config(ONLINE, overrides)
    cfg.max_iters = iterations
    cfg.model.network, cfg.inference = model.config.model, model.config.inference
    cfg.parent = {key: model.weights.get(key) for key in ("file", "sha256")}
    block = cfg.train_dataloader.dataset.to_dict()
    for key in ("type", "root", "split"):
        del block[key]
    folder = Path(work_dir)
    _run(cfg, folder, FirstFrameClips(frames=frames, **block), start=model)
    dtype = str(model.dtype).removeprefix("torch.")
    tuned = load_model(folder / "final.safetensors", device=str(model.device), dtype=dtype)
    return dataclasses.replace(tuned, name=model.name)


def _complete(cfg: Config) -> None:
    """Takes the network and the inference settings from the weights to tune, where the config has none."""
    weights = cfg.model.init_from
    if cfg.model.network is None and weights is None:
        raise ConfigError("there is nothing to fine-tune; add --set model.init_from=WEIGHTS.safetensors")
    if weights is None:
        return
    _, config, _ = read_weights(weights)
    if cfg.model.network is None:
        cfg.model.network = config.model
    cfg.inference = config.get("inference", {})
    cfg.parent = {"file": str(weights), "sha256": file_sha256(weights)}


def _fingerprint(cfg: Config) -> str:
    """Of everything that a config sets, but for what the weights to tune are and where the data lie."""
    settings = cfg.to_dict()
    settings.pop("parent", None)
    del settings["model"]["init_from"], settings["train_dataloader"]["dataset"]["root"]
    return values_sha256(settings)


def _run(cfg: Config, folder: Path, data: FirstFrameClips, start: Model | None = None) -> None:
    result, weights = folder / "final.safetensors", cfg.model.init_from
    if weights is not None and Path(weights).resolve() == result.resolve():
        raise ConfigError(f"the tuned weights would replace {weights}; choose another --work-dir")
    if result.exists() or find_latest(folder) is not None:
        raise ConfigError(f"{folder} holds a training already; choose another --work-dir")
    runner = build_runner(cfg, folder, dataset=data)
    if start is not None:
        state: dict[str, Any] = {k: v.detach().float().cpu() for k, v in start.network.state_dict().items()}
        load_strictly(stage_of(runner).network, state, start.name)
    runner.train()
