"""Where results may be written, and that nothing half-written looks whole."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from PIL import Image

from dyenet.data.masks import write_index_mask
from dyenet.data.output import require_empty
from dyenet.errors import InputError
from dyenet.files import atomic_path


def test_absent_and_empty_folders_may_be_written(tmp_path):
    require_empty(tmp_path)
    require_empty(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_folder_with_files_needs_overwrite(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty; add --overwrite"):
        require_empty(tmp_path)
    require_empty(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        require_empty(tmp_path / "file", overwrite=True)


def test_atomic_path_makes_the_folder_and_leaves_one_file(tmp_path):
    with atomic_path(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def write_half(path, interruption):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise interruption


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_interrupted_file_is_not_there_and_the_old_one_is(tmp_path, interruption):
    (tmp_path / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        with pytest.raises(interruption):
            write_half(tmp_path / name, interruption)
    assert [p.name for p in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old"


def test_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def save(image, path, **options):
        path.write_bytes(b"half a PNG")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(InputError, match=r"no space left on the disk while writing .*00000\.png"):
        write_index_mask(tmp_path / "00000.png", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_other_failures_of_the_disk_keep_their_own_error(tmp_path):
    with pytest.raises(OSError, match="broken"), atomic_path(tmp_path / "a"):
        raise OSError(errno.EIO, "broken")
