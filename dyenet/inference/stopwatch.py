"""Seconds per stage, each second counted once, and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """``with stopwatch("trunk"):`` adds to ``seconds["trunk"]``; the stage around it stands still meanwhile."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stages: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._book()
        self._stages.append(stage)
        try:
            yield
        finally:
            self._book()
            self._stages.pop()

    def _book(self) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # work that was only queued belongs to the stage that queued it
        now = time.perf_counter()
        if self._stages:
            stage = self._stages[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def peak_memory_mb() -> float | None:
    """The most memory this process has held so far, in MiB; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
