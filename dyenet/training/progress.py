"""A training's progress bar."""

from __future__ import annotations

import logging
import sys
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dyenet.registry import HOOKS


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """On a terminal: iterations, loss, images per second and the time left; the log's lines appear above."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self._redirected: list[logging.StreamHandler[Any]] = []

    def before_train(self, runner: Runner) -> None:
        console = Console(stderr=True)
        if not (console.is_terminal and is_main_process()):
            return
        self.bar = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self.bar.start()
        self.bar.add_task("", total=runner.max_iters, completed=runner.iter)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream in (
                sys.__stdout__,
                sys.__stderr__,
            ):
                handler.setStream(sys.stdout)  # which the bar has taken over
                self._redirected.append(handler)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.bar is not None:
            speed = runner.message_hub.get_scalar("train/images_per_second").mean(10)
            loss = outputs["loss"].item() if outputs else float("nan")
            text = f"loss {loss:.3f}  {speed:.1f} images/s"
            self.bar.update(self.bar.task_ids[0], completed=runner.iter + 1, description=text)

    def close(self) -> None:
        """Takes the bar away, however the training ended."""
        if self.bar is not None:
            self.bar.stop()
            for handler in self._redirected:
                handler.setStream(sys.stdout)
            self.bar, self._redirected = None, []
