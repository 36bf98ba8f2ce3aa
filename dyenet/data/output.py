"""Rules for what the program writes: where it may, and never a half-written file under its final name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dyenet.errors import InputError

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def require_empty(folder: Path | str, *, overwrite: bool = False) -> None:
    """Raises InputError unless ``folder`` can be written to, and may be: absent or empty, or ``overwrite``."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise InputError(
            f"the output folder {folder} is not empty; add --overwrite to replace the result in it, or give another"
        )
    existing = next(f for f in (folder, *folder.absolute().parents) if f.exists())
    if not os.access(existing, os.W_OK):
        raise InputError(f"no permission to write to {existing}; change it or give another output folder")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yields a hidden path beside ``path`` to write to, and renames it to ``path`` when the block succeeds.

    When the block fails, or is interrupted, the hidden file is removed and ``path`` is as it was before. Makes
    the folder if it is missing. Raises InputError if the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # the same disk, so that the rename is atomic
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise InputError(
                f"no space left on the disk while writing {path}; free some or give another output folder"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
