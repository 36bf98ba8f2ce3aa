"""W of VS-ReID's Algorithm 1 in both readings, by hand."""

from __future__ import annotations

import pytest
import torch

from dyenet.models.baselines.warping import (
    cut_picture,
    normalise_jointly,
    warp_bilinear,
    warp_fb_average,
    warp_maps,
)
from dyenet.structures import MaskPatches

SIZE = 16


def frame_patch(maps: torch.Tensor) -> MaskPatches:
    """(R, 16, 16) maps of a frame of 16 x 16: a cell is a pixel."""
    return MaskPatches(torch.tensor([[0.0, 0, SIZE, SIZE]]).repeat(len(maps), 1), maps)


def flow(u: float, v: float = 0.0) -> torch.Tensor:
    return torch.tensor([u, v]).reshape(2, 1, 1).expand(2, SIZE, SIZE).clone()


def column(x: int) -> torch.Tensor:
    maps = torch.zeros(1, SIZE, SIZE)
    maps[:, :, x] = 1
    return maps


def test_a_map_is_sampled_where_the_flow_leads():
    warped = warp_bilinear(frame_patch(column(5)), flow(-3.0))  # what is at x was at x - 3
    assert torch.allclose(warped, column(8), atol=1e-5)
    half = warp_bilinear(frame_patch(column(5)), flow(-2.5))
    assert torch.allclose(half, 0.5 * (column(7) + column(8)), atol=1e-5)


def test_whole_maps_are_warped_alike():
    maps = torch.rand(2, SIZE, SIZE)
    flows = torch.stack([flow(-2.3, 1.2), flow(0.4)])
    for row in range(2):
        expected = warp_bilinear(frame_patch(maps[row : row + 1]), flows[row])
        assert torch.allclose(warp_maps(maps, flows)[row : row + 1], expected, atol=1e-5)


def test_the_released_warp_takes_the_mean_of_both_flows_and_the_nearest_pixel():
    patches = frame_patch(column(5))
    assert torch.equal(warp_fb_average(patches, flow(-3.0), flow(3.0)), column(8))
    # there -4, back +2: the displacement is -3
    assert torch.equal(warp_fb_average(patches, flow(-4.0), flow(2.0)), column(8))
    # -2.6 is rounded to -3
    assert torch.equal(warp_fb_average(patches, flow(-2.6), flow(2.6)), column(8))


def test_the_released_warp_gives_up_where_the_flows_disagree_and_outside():
    patches = frame_patch(torch.ones(1, SIZE, SIZE))
    assert not warp_fb_average(patches, flow(0.0), flow(0.0, 101.0)).any()
    warped = warp_fb_average(patches, flow(-3.0), flow(3.0))
    assert warped[0, 0].tolist() == [0] * 3 + [1] * 13


def test_joint_maps_by_hand():
    maps = torch.tensor([0.8, 0.5]).reshape(2, 1, 1)
    scaled, wins = normalise_jointly(maps)
    total = 0.2 * 0.5 + 0.8 + 0.5
    assert scaled.flatten().tolist() == pytest.approx([0.8 / total, 0.5 / total])
    assert wins.flatten().tolist() == [True, False]
    _, background = normalise_jointly(torch.tensor([0.3, 0.2]).reshape(2, 1, 1))  # background 0.56
    assert background.flatten().tolist() == [False, False]


def test_pictures_are_cut_pixel_for_pixel_and_averaged_when_they_shrink():
    picture = torch.arange(256.0).reshape(1, SIZE, SIZE)
    same = cut_picture(picture, torch.tensor([[2.0, 3, 10, 11]]), 8)
    assert torch.allclose(same[0], picture[:, 3:11, 2:10], atol=1e-3)
    halved = cut_picture(picture, torch.tensor([[0.0, 0, 16, 16]]), 8)
    assert halved[0, 0, 0, 0].item() == pytest.approx((0 + 1 + 16 + 17) / 4)
