import numpy as np
import pytest
import torch

from dyenet.errors import ConfigError, InputError
from dyenet.inference.features import FeatureStore
from dyenet.structures import ArrayVideo, FrameFeatures


class Trunk(torch.nn.Module):
    """Features that say which frame they are from; counts the images it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen: list[int] = []

    def extract_features(self, images):
        value = int(images[0, 0, 0, 0])
        self.seen.append(value)
        coarse = torch.full((1, 4, 2, 3), value + 0.123)
        return FrameFeatures(coarse, -coarse.repeat(1, 1, 2, 2), (16, 24), images[:, :1].to(coarse) / 2)


VIDEO = ArrayVideo(np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 24, 3), np.uint8))
ONE = (24 + 96 + 16 * 24) * 2  # bytes of a frame's features in 16 bits


def store(trunk, memory_bytes, dtype=torch.bfloat16, **kw) -> FeatureStore:
    return FeatureStore(trunk, VIDEO, memory_bytes=memory_bytes, dtype=dtype, **kw)


@pytest.mark.parametrize("memory_bytes", [0, 3 * ONE, 100 * ONE])
def test_the_trunk_runs_once_per_frame_whatever_the_bound(memory_bytes, tmp_path):
    trunk = Trunk()
    features = store(trunk, memory_bytes, spill_dir=tmp_path)
    order = [*range(10), *reversed(range(10)), 3, 3, 7, 0]
    for frame in order:
        got = features.get(frame)
        assert got.coarse.dtype == torch.float32
        assert got.image_size == (16, 24)
        expected = torch.tensor(frame + 0.123).bfloat16().float()
        assert torch.equal(got.coarse, expected.expand(1, 4, 2, 3))
        assert torch.equal(got.fine, -expected.expand(1, 4, 4, 6))
        assert torch.equal(got.pixels, torch.full((1, 1, 16, 24), frame / 2))
        assert features.bytes_in_memory <= memory_bytes
    assert trunk.seen == list(range(10))
    assert features.trunk_runs == 10


def test_files_are_written_only_beyond_the_bound_and_removed(tmp_path):
    features = store(Trunk(), 4 * ONE, spill_dir=tmp_path)
    for frame in range(4):
        features.get(frame)
    assert list(tmp_path.iterdir()) == []
    for frame in range(4, 10):
        features.get(frame)
    (folder,) = tmp_path.iterdir()
    assert {f.name for f in folder.iterdir()} == {f"{i}.raw" for i in range(6)}
    assert all(f.stat().st_size == ONE for f in folder.iterdir())
    features.close()
    assert list(tmp_path.iterdir()) == []


def test_float32_is_kept_exactly(tmp_path):
    features = store(Trunk(), 0, torch.float32, spill_dir=tmp_path)
    for frame in (5, 2, 5):
        assert features.get(frame).coarse[0, 0, 0, 0] == torch.tensor(frame + 0.123)


def test_a_spill_folder_that_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        store(Trunk(), 0, spill_dir=tmp_path / "missing")


def test_a_full_disk_for_features_is_named(tmp_path, monkeypatch):
    features = store(Trunk(), 0, spill_dir=tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", full)
    with pytest.raises(InputError, match=rf"{tmp_path}.*spill_dir"):
        features.get(0)
