"""What happens around training steps: the OIM update, checkpoints, validation through the real inference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from dyenet.data.clips_images import FirstFrameClips
from dyenet.errors import ConfigError
from dyenet.models.weights import save_network
from dyenet.registry import HOOKS
from dyenet.training.checkpoints import POINTER, write_atomically
from dyenet.training.stage import Stage


def stage_of(runner: Runner) -> Stage:
    """The stage inside the runner's model, which may be wrapped for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


@HOOKS.register_module()
class StepHook(Hook):
    """Calls the stage's ``after_step`` once per optimiser step, and logs images per second.

    Random numbers of an iteration depend on the seed, the iteration and the rank alone, so a resumed run draws the
    same ones.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        seed = np.random.SeedSequence([runner.seed, runner.iter, runner.rank]).generate_state(1)[0]
        torch.manual_seed(int(seed))

    def before_train(self, runner: Runner) -> None:
        self._since = time.perf_counter()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if runner.optim_wrapper.should_update():
            stage_of(runner).after_step()
        images = sum(len(clip.frames) for clip in data_batch["clips"]) * runner.world_size
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()  # loading included
        runner.message_hub.update_scalar("train/images_per_second", images / seconds)


@HOOKS.register_module()
class AtomicCheckpointHook(Hook):
    """A checkpoint every ``interval`` iterations and at the end, the last ``keep`` of them; the pointer to the
    latest is written after it. At the end the network is exported to ``final.safetensors``.

    While gradients accumulate, a checkpoint that is due waits for the optimiser's step: gradients are not saved.
    """

    priority = "VERY_LOW"

    def __init__(self, *, interval: int, keep: int = 2) -> None:
        self.interval, self.keep, self.due = interval, keep, False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        done = runner.iter + 1
        self.due |= done % self.interval == 0 or done == runner.max_iters
        if self.due and runner.optim_wrapper.should_update():
            self.save(runner, done)
            self.due = False

    def save(self, runner: Runner, done: int) -> None:
        stage_of(runner).check_parameters()
        name = f"iter_{done}.pth"
        runner.save_checkpoint(runner.work_dir, name, by_epoch=False)  # on the main process only
        if is_main_process():
            folder = Path(runner.work_dir)
            write_atomically(folder / POINTER, name)
            old = sorted(folder.glob("iter_*.pth"), key=lambda p: int(p.stem.removeprefix("iter_")))
            for path in old[: -self.keep]:
                path.unlink()
        barrier()

    def after_train(self, runner: Runner) -> None:
        export(runner, Path(runner.work_dir) / "final.safetensors", {"iterations": runner.iter})


@HOOKS.register_module()
class WeightEnsembleHook(Hook):
    """At the end the network goes back towards the weights that the training began from: ``share`` in [0, 1] of the way
    to the trained ones is kept, and exported.

    What fine-tuning unlearns comes back sooner than what it learned goes (WiSE-FT: Wortsman et al., "Robust fine-tuning
    of zero-shot models", CVPR 2022, Eq. 1). Raises ConfigError for another share, and where a training is resumed:
    checkpoints do not hold the weights that it began from.
    """

    def __init__(self, *, share: float) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"WeightEnsembleHook's share is {share}; it must lie in [0, 1]")
        self.share = share

    def before_train(self, runner: Runner) -> None:
        if runner.iter:
            raise ConfigError("a training with WeightEnsembleHook cannot be resumed; begin it anew")
        state = stage_of(runner).network.state_dict()
        self._start = {key: value.clone() for key, value in state.items()}

    def after_train(self, runner: Runner) -> None:
        for key, value in stage_of(runner).network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(self._start[key], value, self.share))


@HOOKS.register_module()
class ValidationHook(Hook):
    """Every ``interval`` iterations, the mean J of whole videos through the real inference.

    ``root``, ``split``: a DAVIS tree; ``sequences``: some of its names, or all; ``max_frames``: of each, from its
    start. The best weights so far are exported to ``best.safetensors``.
    """

    priority = "LOW"

    def __init__(
        self,
        *,
        interval: int,
        root: str,
        split: str = "val",
        sequences: Sequence[str] | None = None,
        max_frames: int | None = None,
    ) -> None:
        self.interval, self.best = interval, -1.0
        self.root, self.split, self.sequences, self.max_frames = root, split, sequences, max_frames

    def before_train(self, runner: Runner) -> None:
        from dyenet.training.validation import choose_videos

        choose_videos(self.root, self.split, self.sequences)  # what is missing is said now, not hours later

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        done = runner.iter + 1
        if done % self.interval and done != runner.max_iters:
            return
        if is_main_process():
            from dyenet.training.validation import validate

            scratch = Path(runner.work_dir) / ".validated.safetensors"
            export(runner, scratch, {"iterations": done})
            scores = validate(scratch, self.root, self.split, self.sequences, self.max_frames)
            mean = sum(scores.values()) / len(scores)
            runner.message_hub.update_scalar("val/J", mean)
            runner.visualizer.add_scalar("val/J", mean, step=done)
            parts = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
            runner.logger.info(f"validation after {done} iterations: J {mean:.4f} ({parts})")
            if mean > self.best:
                self.best = mean
                scratch.replace(Path(runner.work_dir) / "best.safetensors")
            scratch.unlink(missing_ok=True)
        barrier()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["best_validation"] = self.best

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.best = checkpoint.get("best_validation", -1.0)


def export(runner: Runner, path: Path, extra: dict[str, Any]) -> None:
    """The network (its moving average, if one is kept) as a weights file for inference or the next stage."""
    if not is_main_process():
        return
    averages = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    for hook in averages:
        hook._swap_ema_parameters()
    config = runner.cfg.to_dict()
    blocks = {"model": inference_model(config["model"]["network"]), "inference": config.get("inference", {})}
    extra = {
        **extra,
        "config": runner.cfg.filename,
        "seed": runner.seed,
        "parent": config.get("parent") or {"file": config["model"].get("init_from")},
        "data": config["train_dataloader"]["dataset"],
    }
    data = runner.train_loop.dataloader.dataset
    if isinstance(data, FirstFrameClips):
        extra |= {"frames": data.names, "settings": config.get("settings")}
    save_network(stage_of(runner).network, blocks, path, dtype=torch.float16, extra=extra)
    for hook in averages:
        hook._swap_ema_parameters()


def inference_model(model: Any) -> Any:
    """A model block as inference builds it: batch norms have kept their statistics and are frozen."""
    if isinstance(model, dict):
        return {k: "frozen_bn" if k == "norm" and v == "bn" else inference_model(v) for k, v in model.items()}
    return model
