import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dyenet.errors import ConfigError, InputError, WeightsError
from dyenet.models.flow import (
    CachedFlow,
    DISFlow,
    FlowFiles,
    NoFlow,
    RAFTFlow,
    build_flow,
    dis,
    dis_flow,
    write_flow,
)
from dyenet.models.flow.displacement import flow_of_object
from dyenet.structures import ArrayVideo, MaskPatches

H, W = 96, 128
SHIFT = (7.0, 3.0)


@pytest.fixture(scope="module")
def video() -> ArrayVideo:
    """Three frames of a smooth texture whose content moves 7 right and 3 down per frame."""
    noise = np.random.default_rng(0).random((12 + H // 4, 16 + W // 4, 3)).astype(np.float32)
    big = F.interpolate(torch.from_numpy(noise).permute(2, 0, 1)[None], scale_factor=4, mode="bicubic")[0]
    texture = (big.permute(1, 2, 0).clamp(0, 1) * 255).byte().numpy()
    return ArrayVideo([texture[30 - 3 * t : 30 - 3 * t + H, 40 - 7 * t : 40 - 7 * t + W] for t in range(3)])


def warp_error(video: ArrayVideo, i: int, j: int, flow: torch.Tensor) -> float:
    """Mean absolute grey-level error of frame i sampled at x + flow(x) against frame j, away from the edges."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    points = torch.stack([x + flow[0], y + flow[1]], dim=-1)
    frames = [torch.from_numpy(video[k].copy()).permute(2, 0, 1).float() for k in (i, j)]
    grid = points / torch.tensor([W, H]) * 2 - 1
    warped = F.grid_sample(frames[0][None], grid[None], align_corners=False)[0]
    return float((warped - frames[1])[:, 16:-16, 16:-16].abs().mean())


@pytest.mark.parametrize(
    ("preset", "tolerance"), [("finest", 0.1), ("medium", 0.1), ("fast", 0.5), ("ultrafast", 1.0)]
)
def test_dis_recovers_a_known_shift(video, preset, tolerance):
    forward = dis_flow(video[0], video[1], preset)
    assert forward.shape == (2, H, W)
    assert forward.dtype == np.float32
    inner = forward[:, 16:-16, 16:-16].reshape(2, -1)
    assert np.abs(np.median(inner, axis=1) - SHIFT).max() < tolerance


def test_sampling_frame_i_along_the_flow_of_frame_j_reproduces_frame_j(video):
    right = torch.from_numpy(dis_flow(video[1], video[0]))  # F_{1->0}, on the grid of frame 1
    other = torch.from_numpy(dis_flow(video[0], video[1]))
    error = warp_error(video, 0, 1, right)
    assert error < 2
    assert warp_error(video, 0, 1, -right) > 10 * error
    assert warp_error(video, 0, 1, other) > 10 * error
    assert warp_error(video, 1, 0, right) > 10 * error


def test_flow_of_shrunk_pictures_is_in_pixels_of_the_full_ones(video):
    flow = dis_flow(video[0], video[1], scale=0.5)
    assert flow.shape == (2, H, W)
    assert np.abs(np.median(flow[:, 16:-16, 16:-16].reshape(2, -1), axis=1) - SHIFT).max() < 0.5


def test_dis_takes_pictures_smaller_than_its_patches():
    flow = dis_flow(np.zeros((5, 9, 3), np.uint8), np.zeros((5, 9, 3), np.uint8))
    assert flow.shape == (2, 5, 9)
    assert np.isfinite(flow).all()


class Counting:
    """An estimator whose flow says which pair it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def estimate(self, video, source, target):
        self.asked.append((source, target))
        return torch.full((2, *video.size), float(10 * source + target))


def test_cache_computes_each_direction_once_and_only_when_asked(video):
    estimator = Counting()
    flow = CachedFlow(video, estimator)
    assert flow.get(0, 1).unique().tolist() == [1]
    assert flow.get(1, 0).unique().tolist() == [10]
    assert flow.get(0, 1).dtype == torch.float32
    assert estimator.asked == [(0, 1), (1, 0)]


def test_cache_stays_within_its_bound_and_drops_the_least_recently_used(video):
    estimator = Counting()
    one = 2 * H * W * 2
    flow = CachedFlow(video, estimator, memory_bytes=2 * one + 1)
    for pair in [(0, 1), (1, 0), (0, 1), (1, 2)]:  # the last drops (1, 0)
        flow.get(*pair)
        assert flow.bytes_kept <= flow.memory_bytes
    flow.get(0, 1)
    flow.get(1, 0)
    assert estimator.asked == [(0, 1), (1, 0), (1, 2), (1, 0)]


def test_a_flow_beyond_the_bound_is_given_but_not_kept(video):
    flow = CachedFlow(video, Counting(), memory_bytes=10)
    assert flow.get(1, 2).unique().tolist() == [12]
    assert flow.bytes_kept == 0


def test_cache_gives_the_same_numbers_each_time(video):
    flow = CachedFlow(video, DISFlow(preset="fast"))
    assert torch.equal(flow.get(0, 1), flow.get(0, 1))


def test_frames_outside_the_video_are_refused(video):
    with pytest.raises(IndexError, match="frames 0 to 2"):
        CachedFlow(video, NoFlow()).get(2, 3)


def test_flow_files_round_trip_in_the_layout_of_vsreid(video, tmp_path):
    rng = np.random.default_rng(1)
    forward, backward = rng.normal(size=(2, 2, H, W)).astype(np.float32)
    write_flow(tmp_path / "00001.flo", forward)
    write_flow(tmp_path / "00001.rflo", backward)
    files = FlowFiles(root=str(tmp_path))
    assert np.array_equal(files.estimate(video, 1, 2), forward)
    assert np.array_equal(files.estimate(video, 1, 0), backward)
    mmcv = pytest.importorskip("mmcv")
    assert np.array_equal(mmcv.flowread(str(tmp_path / "00001.flo")), forward.transpose(1, 2, 0))


def test_flow_files_that_cannot_be_used_are_named(video, tmp_path):
    files = FlowFiles(root=str(tmp_path))
    with pytest.raises(InputError, match="cannot read"):
        files.estimate(video, 0, 1)
    with pytest.raises(InputError, match="adjacent"):
        files.estimate(video, 0, 2)
    path = tmp_path / "00000.flo"
    write_flow(path, np.zeros((2, 4, 4), np.float32))
    with pytest.raises(InputError, match="4x4 but the frames are 128x96"):
        files.estimate(video, 0, 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="write it again"):
        files.estimate(video, 0, 1)
    path.write_bytes(b"JPEG" + bytes(20))
    with pytest.raises(InputError, match="PIEH"):
        files.estimate(video, 0, 1)


@pytest.fixture(scope="module")
def raft() -> RAFTFlow:
    torch.manual_seed(0)
    return RAFTFlow(weights="random", small=True, iterations=2, device="cpu")


def test_raft_gives_the_frames_size_whatever_it_is(raft):
    frames = np.random.default_rng(2).integers(0, 256, (2, 99, 130, 3), dtype=np.uint8)
    flow = raft.estimate(ArrayVideo(frames), 0, 1)
    assert flow.shape == (2, 99, 130)
    assert flow.dtype == torch.float32
    assert flow.isfinite().all()


def test_raft_weights_are_loaded_strictly_and_never_unpickled(raft, tmp_path):
    state = raft.network.state_dict()
    torch.save(state, tmp_path / "raft.pth")
    again = RAFTFlow(weights=str(tmp_path / "raft.pth"), small=True, device="cpu")
    assert all(
        torch.equal(a, b) for a, b in zip(state.values(), again.network.state_dict().values(), strict=True)
    )
    with pytest.raises(WeightsError, match="missing"):
        RAFTFlow(weights=str(tmp_path / "raft.pth"), small=False, device="cpu")
    torch.save({"a": Counting()}, tmp_path / "objects.pth")
    with pytest.raises(WeightsError, match="more than tensors"):
        RAFTFlow(weights=str(tmp_path / "objects.pth"), small=True, device="cpu")
    with pytest.raises(WeightsError, match="no RAFT weights"):
        RAFTFlow(weights=str(tmp_path / "absent.pth"), small=True, device="cpu")


def test_flow_is_built_from_a_config_block(video):
    flow = build_flow({"type": "DISFlow", "preset": "fast", "memory_bytes": 0}, video)
    expected = torch.from_numpy(dis_flow(video[0], video[1], "fast"))
    assert (flow.get(0, 1) - expected).abs().max() < 0.01  # float16 in between
    assert build_flow({"type": "NoFlow"}, video).get(0, 1).abs().max() == 0
    with pytest.raises(ConfigError, match="it may be DISFlow"):
        build_flow({"type": "PWC"}, video)
    with pytest.raises(ConfigError, match="NoFlow cannot be built"):
        build_flow({"type": "NoFlow", "preset": "fast"}, video)
    with pytest.raises(ConfigError, match="preset"):
        build_flow({"type": "DISFlow", "preset": "slow"}, video)


@pytest.fixture(scope="module")
def parting() -> tuple[ArrayVideo, MaskPatches]:
    """An object of 20x20 pixels goes 40 right and 4 down in front of what goes 6 left; its mask in frame 0."""
    rng = np.random.default_rng(3)
    smooth = [
        cv2.resize(rng.integers(0, 256, size, dtype=np.uint8), None, fx=4, fy=4)
        for size in ((30, 54, 3), (5, 5, 3))
    ]
    frames = [np.ascontiguousarray(smooth[0][:, 6 * t : 6 * t + 200]) for t in range(2)]
    for t, frame in enumerate(frames):
        frame[50 + 4 * t : 70 + 4 * t, 60 + 40 * t : 80 + 40 * t] = smooth[1]
    return ArrayVideo(frames), MaskPatches(torch.tensor([[60.0, 50.0, 80.0, 70.0]]), torch.ones(1, 20, 20))


def test_an_object_that_flow_loses_is_found_where_it_is(parting):
    video, mask = parting
    flow = build_flow({"type": "DISFlow"}, video)
    assert not torch.allclose(flow.get(1, 0)[:, 64, 110], torch.tensor([-40.0, -4.0]), atol=5)  # DIS loses it
    (own,) = flow.of_objects(1, 0, mask, 0.1)
    inside = own[:, 58:70, 104:116].flatten(1).T
    assert ((inside - torch.tensor([-40.0, -4.0])).norm(dim=1) < 1.5).float().mean() > 0.9
    far = own[:, :, 150:]
    assert torch.equal(far, flow.get(1, 0)[:, :, 150:])  # as it was away from it


def test_flow_that_takes_an_object_where_it_is_stays(parting):
    video, mask = parting
    right = torch.zeros(2, 120, 200)
    right[0], right[1] = -40, -4
    window, inside = (slice(50, 70), slice(60, 80)), np.ones((20, 20), bool)

    def found(inside, flow, margin):
        return flow_of_object(video[1], video[0], window, inside, flow, DISFlow().between, margin=margin)

    assert found(inside, right, 0.1) is None
    assert found(inside, right * 0, 0.1) is not None
    assert found(inside, right * 0, 2.1) is None
    assert found(inside & False, right * 0, 0.1) is None
    still = build_flow({"type": "DISFlow"}, ArrayVideo([video[0], video[0]]))
    assert still.of_objects(1, 0, mask, 0.1) == [None]
    nothing_moves = build_flow({"type": "NoFlow"}, video)
    assert nothing_moves.of_objects(1, 0, mask, 0.1) == [None]


def test_an_object_s_flow_is_of_the_estimator_that_is_configured(parting, monkeypatch):
    video, mask = parting
    flow = build_flow({"type": "DISFlow", "preset": "fast"}, video)
    flow.get(1, 0)
    presets = []
    monkeypatch.setattr(dis, "dis_flow", lambda a, b, preset, **_: presets.append(preset) or dis_flow(a, b))
    assert flow.of_objects(1, 0, mask, 0.1) != [None]
    assert presets == ["fast"]
