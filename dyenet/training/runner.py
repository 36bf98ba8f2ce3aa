"""One command trains any stage, on one CPU, one GPU or many processes: mmengine's Runner and what it lacks."""

from __future__ import annotations

import logging
import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from dyenet.config import load_config
from dyenet.data.clips import ClipDataset
from dyenet.errors import ConfigError, DyeNetError
from dyenet.registry import DATASETS, HOOKS, MODELS, OPTIM_WRAPPERS  # noqa: F401  (names that configs use)
from dyenet.structures import Clip
from dyenet.training import baselines, distillation, hooks, joint, proposals, segmentation  # noqa: F401  (registers them)
from dyenet.training.checkpoints import find_latest, read_checkpoint, write_atomically
from dyenet.training.optim import optim_wrapper_config
from dyenet.training.progress import ProgressBarHook

Launcher = Literal["none", "pytorch", "slurm"]

PATIENCE = timedelta(hours=6)
"""How long processes wait for each other: the first one validates on whole videos alone."""


def train(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    launcher: Launcher = "none",
) -> Path:
    """Trains the stage that a config describes; returns the folder with ``final.safetensors``.

    ``work_dir`` is ``work_dirs/<config name>`` unless given. With ``resume`` training goes on from the latest
    checkpoint there, as if it had not been interrupted. Under ``torchrun`` the launcher is found out.
    """
    cfg = load_config(config, overrides)
    folder = Path(work_dir or Path("work_dirs") / Path(str(config)).stem)
    latest = find_latest(folder)
    if latest is not None and not resume:
        raise ConfigError(
            f"{folder} holds a training already; add --resume to go on, or choose another --work-dir"
        )
    build_runner(cfg, folder, launcher, resume_from=latest).train()
    return folder


def build_runner(
    cfg: Config,
    work_dir: Path,
    launcher: Launcher = "none",
    resume_from: Path | None = None,
    dataset: ClipDataset | None = None,
) -> TrainingRunner:
    """The Runner of a config; its ``model.num_identities`` may be "auto", the number that the data set has.

    ``dataset`` takes the place of the config's.
    """
    if launcher == "none" and "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        launcher = "pytorch"
    start_processes(launcher)
    seed = cfg.seed
    torch.manual_seed(seed)
    cfg.train_dataloader.dataset.setdefault("seed", seed)
    if dataset is None:
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        assert dataset is not None
    if cfg.model.get("num_identities") == "auto":
        cfg.model.num_identities = dataset.num_identities
    custom = [dict(type="StepHook"), dict(type="ProgressBarHook"), *cfg.custom_hooks]
    loader = {**cfg.train_dataloader.to_dict(), "dataset": dataset}
    if not loader.get("num_workers"):
        loader["persistent_workers"] = False
    return TrainingRunner(
        model=cfg.model.to_dict(),
        work_dir=str(work_dir),
        train_dataloader={
            "sampler": dict(type="InfiniteSampler", shuffle=False),  # the data sets draw at random themselves
            "collate_fn": collate,
            **loader,
        },
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=cfg.max_iters, val_interval=cfg.max_iters + 1),
        optim_wrapper=optim_wrapper_config(cfg.optim_wrapper.to_dict(), cfg.precision),
        # A schedule that would only begin later, in a training cut short with max_iters, has no end.
        param_scheduler=[s for s in cfg.get("param_scheduler", []) if s.get("begin", 0) < cfg.max_iters],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=cfg.log_interval),
            checkpoint=dict(type="AtomicCheckpointHook", interval=cfg.checkpoint_interval),
            sampler_seed=None,
        ),
        custom_hooks=custom,
        launcher=launcher,
        log_level=cfg.get("log_level", "INFO"),
        resume=resume_from is not None,
        load_from=None if resume_from is None else str(resume_from),
        log_processor=dict(by_epoch=False, window_size=cfg.log_interval),
        visualizer=dict(
            type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
        ),
        experiment_name=f"{work_dir.name}_{uuid.uuid4().hex[:8]}",  # mmengine keeps instances by name
        randomness=dict(seed=seed),
        env_cfg=dict(mp_cfg=dict(mp_start_method="fork", opencv_num_threads=1)),
        default_scope="dyenet",
        cfg=cfg,
    )


def start_processes(launcher: Launcher) -> None:
    """Joins the process group before the Runner is built: over gloo on CPUs, nccl on GPUs.

    Raises ConfigError for a launcher that is not known, or for slurm outside of a Slurm task.
    """
    if launcher not in get_args(Launcher):
        raise ConfigError(f"launcher is {launcher!r}; it may be {', '.join(get_args(Launcher))}")
    if launcher == "none" or dist.is_initialized():
        return
    if launcher == "slurm":
        if "SLURM_PROCID" not in os.environ:
            raise ConfigError("--launcher slurm, but this is no Slurm task; start it with srun")
        os.environ.setdefault("RANK", os.environ["SLURM_PROCID"])
        os.environ.setdefault("WORLD_SIZE", os.environ["SLURM_NTASKS"])
        os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
        os.environ.setdefault("MASTER_ADDR", _first_host(os.environ["SLURM_JOB_NODELIST"]))
        # jobs that share a node meet at ports of their own
        os.environ.setdefault("MASTER_PORT", str(20000 + int(os.environ["SLURM_JOB_ID"]) % 20000))
    if torch.cuda.is_available():  # Slurm may show each process its own GPU only
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)


def _first_host(nodes: str) -> str:
    """The first host of a Slurm node list such as "node[3-5]", which ``scontrol`` can read."""
    if not {"[", ","} & set(nodes):
        return nodes
    found = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True
    )
    return found.stdout.split()[0]


def collate(clips: list[Clip]) -> dict[str, list[Clip]]:
    """A batch as the keyword arguments of ``Stage.forward``."""
    return {"clips": clips}


class TrainingRunner(Runner):
    """mmengine's Runner with checkpoints that are atomic and plain, and with CPU processes."""

    def build_logger(self, *arguments: Any, **named: Any) -> MMLogger:
        """mmengine warns of each of its own registries that a project does not extend; nobody can act on that."""
        logger = super().build_logger(*arguments, **named)
        logger.addFilter(lambda record: "Failed to search registry" not in record.getMessage())
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        device = (
            torch.device("cuda", torch.cuda.current_device())
            if torch.cuda.is_available()
            else torch.device("cpu")
        )
        model = model.to(device).to(memory_format=torch.channels_last)
        if not self.distributed:
            return model
        devices = None if device.type == "cpu" else [device.index]
        return MMDistributedDataParallel(module=model, device_ids=devices, broadcast_buffers=False)

    def train(self) -> nn.Module:
        """mmengine's, with numbers too small for normal floats as zeros: they slow a CPU down several times."""
        torch.set_flush_denormal(True)
        try:
            return super().train()
        except (
            DyeNetError
        ) as error:  # of a data worker it comes with the worker's traceback around its sentence
            raise type(error)(str(error).rstrip().rsplit(f"{type(error).__name__}: ", 1)[-1]) from error
        finally:
            torch.set_flush_denormal(False)
            for hook in self.hooks:
                if isinstance(hook, ProgressBarHook):
                    hook.close()
            self._close_log()

    def _close_log(self) -> None:
        """mmengine leaves the file open, one for each training of a process, which Windows then cannot remove."""
        for handler in [h for h in self.logger.handlers if isinstance(h, logging.FileHandler)]:
            self.logger.removeHandler(handler)
            handler.close()

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, **_: Any) -> None:
        """Everything a resumed run needs, as plain values and tensors (see ``read_checkpoint``)."""
        schedulers = self.param_schedulers or []
        checkpoint: dict[str, Any] = {
            "meta": {
                "iter": self.iter + 1,
                "epoch": self.epoch,
                "seed": self.seed,
                "config": self.cfg.pretty_text,
            },
            "state_dict": hooks.stage_of(self).state_dict(),
            "optimizer": self.optim_wrapper.state_dict(),
            "param_schedulers": [_plain(s.state_dict()) for s in schedulers],
        }
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        write_atomically(Path(out_dir) / filename, checkpoint)

    def resume(self, filename: str, *_: Any, **__: Any) -> None:
        """Goes on after the checkpoint's iteration: weights, optimiser, schedules. The data and the random
        numbers of an iteration follow from its number.
        """
        checkpoint = read_checkpoint(filename, next(self.model.parameters()).device)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        hooks.stage_of(self).load_state_dict(checkpoint["state_dict"])
        self.train_loop._iter = checkpoint["meta"]["iter"]
        self.optim_wrapper.load_state_dict(checkpoint["optimizer"])
        for scheduler, state in zip(self.param_schedulers or [], checkpoint["param_schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.logger.info(f"resuming after iteration {checkpoint['meta']['iter']} of {filename}")


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a scheduler's state is a value: the rest (bound methods) is rebuilt from the config."""
    kinds = (int, float, bool, str, type(None), list, tuple)
    return {k: v for k, v in state.items() if isinstance(v, kinds)}
