"""Never a half-written file under its final name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dyenet.errors import InputError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


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
        if error.errno in FULL_DISK:
            raise InputError(
                f"no space left on the disk while writing {path}; free some or give another output folder"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
