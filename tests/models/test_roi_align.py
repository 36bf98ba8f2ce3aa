"""RoIAlign as two matrix products gives torchvision's values and gradients."""

from __future__ import annotations

import pytest
import torch
import torchvision

from dyenet.models.roi_align import roi_align


@pytest.mark.parametrize("channels_last", [False, True])
def test_agrees_with_torchvision(channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 5, 12, 17, generator=generator)
    corner = torch.rand(9, 2, generator=generator) * 120 - 20  # some stick out on every side
    boxes = torch.cat([corner, corner + torch.rand(9, 2, generator=generator) * 90 + 1], dim=1)
    boxes[0] = torch.tensor([-300.0, -300.0, -200.0, -200.0])  # wholly outside
    rows = torch.tensor([2, 0, 0, 2, 1, 2, 0, 1, 1])
    if channels_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    ours, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    rois = torch.cat([rows[:, None].float(), boxes], dim=1)
    expected = torchvision.ops.roi_align(theirs, rois, 7, 1 / 8, sampling_ratio=2, aligned=True)
    found = roi_align(ours, boxes, rows, 7, 1 / 8)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn(expected.shape, generator=generator)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4)


def test_no_boxes() -> None:
    found = roi_align(torch.zeros(1, 4, 5, 5), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 7, 0.5)
    assert found.shape == (0, 4, 7, 7)


def test_bf16_stays_bf16() -> None:
    maps = torch.ones(1, 2, 6, 6, dtype=torch.bfloat16)
    found = roi_align(
        maps, torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.zeros(1, dtype=torch.long), 4, 1 / 8
    )
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, torch.ones(1, 2, 4, 4, dtype=torch.bfloat16))
