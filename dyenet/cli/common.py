"""What the commands share: errors as sentences, progress bars, and the options they have in common."""

from __future__ import annotations

import errno
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dyenet.errors import DyeNetError, InputError
from dyenet.files import FULL_DISK

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a config key: --set inference.iterative.max_rounds=1; in training --set max_iters=9. Repeatable.",
    ),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, mps. auto takes a GPU where there is one.")
]
Dtype = Annotated[
    str, typer.Option(help="auto, float32 or bfloat16. auto takes bfloat16 where the machine is fast at it.")
]

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def describe(error: Exception) -> str | None:
    """The sentence to show for an error that the user can mend; None for any other."""
    if isinstance(error, DyeNetError):
        return str(error)
    if not isinstance(error, OSError):
        return None
    where = f" while writing {error.filename}" if error.filename else ""
    if error.errno in FULL_DISK:
        return f"no space left on the disk{where}; free some or give another output folder"
    if error.errno in _FORBIDDEN and error.filename:
        return f"no permission to use {error.filename}; change it or give another path"
    return None


def show_warnings_as_sentences() -> None:
    """Prints the program's own warnings as one line on stderr, without the source line that raised them."""
    original = warnings.showwarning
    package = Path(__file__).parents[1]

    def show(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if package in Path(filename).parents:
            print(f"dyenet: warning: {message}", file=sys.stderr)
        else:
            original(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from ``WIDTHxHEIGHT``."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InputError(f"--size {text!r} is not of the form WIDTHxHEIGHT, such as 480x270")
    return int(height), int(width)


class StageBars:
    """One progress bar per stage; called with (stage, done, total) by the session."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


@contextmanager
def stage_bars(*, quiet: bool = False) -> Iterator[StageBars]:
    """Progress bars on stderr with the time left; in a log file only their last state."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        yield StageBars(progress)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` whole or not at all."""
    from dyenet.files import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
