"""Rules for where the program writes."""

from __future__ import annotations

import os
from pathlib import Path

from dyenet.errors import InputError


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
