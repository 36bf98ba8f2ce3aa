"""Checkpoints that a kill at any moment cannot spoil, and that are read without unpickling."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from dyenet.errors import WeightsError

POINTER = "last_checkpoint"


def write_atomically(path: Path, content: dict[str, Any] | str) -> None:
    """Writes a checkpoint (a dict of plain values and tensors) or a text: whole, or not at all.

    What a kill leaves behind is a hidden file that the next write of ``path`` takes up again.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            if isinstance(content, str):
                file.write(content.encode())
            else:
                torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A checkpoint of ours. Raises WeightsError if it is missing or holds anything but values and tensors."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no checkpoint at {path}") from error
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise WeightsError(f"{path} is damaged or is no checkpoint of this program ({error})") from error


def find_latest(work_dir: str | Path) -> Path | None:
    """The checkpoint to resume from: the one the pointer names, else the latest file that is there."""
    folder = Path(work_dir)
    pointer = folder / POINTER
    if pointer.is_file():
        named = folder / pointer.read_text().strip()
        if named.is_file():
            return named
    numbered = sorted(folder.glob("iter_*.pth"), key=lambda p: int(p.stem.removeprefix("iter_")))
    return numbered[-1] if numbered else None
