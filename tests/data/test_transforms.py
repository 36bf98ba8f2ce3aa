"""Clip augmentation: one geometry for all frames, exact masks, no effect on torch's random state."""

from __future__ import annotations

import pytest
import torch

from dyenet.data.transforms import ClipAugmentation


def coded_clip(height=60, width=100):
    """Frames whose red channel is the mask's id times 50, so that any shift between the two shows."""
    masks = torch.zeros(3, height, width, dtype=torch.uint8)
    masks[:, 20:40, 30:60] = 1
    masks[1, 45:55, 70:90] = 2
    masks[:, :4] = 255
    frames = (masks[:, None].float().clamp(max=2) * 50).expand(-1, 3, -1, -1).to(torch.uint8)
    return frames.contiguous(), masks


@pytest.mark.parametrize("seed", range(5))
def test_masks_and_frames_keep_together(seed):
    frames, masks = coded_clip()
    augment = ClipAugmentation(size=(32, 48))
    out, mask = augment(frames, masks, seed=seed, photometry=False)
    assert out.shape == (3, 3, 32, 48)
    assert mask.shape == (3, 32, 48)
    assert set(mask.unique().tolist()) <= {0, 1, 2, 255}
    wanted = mask.float().clamp(max=2) * 50
    assert ((out[:, 0].float() - wanted).abs() <= 26).float().mean() > 0.9  # all but interpolated rims


def test_all_frames_get_the_same_window_and_flip():
    frames, masks = coded_clip()
    frames[1:], masks[1:] = frames[:1].clone(), masks[:1].clone()
    for seed in range(5):
        out, mask = ClipAugmentation(size=(32, 48))(frames, masks, seed=seed)
        assert torch.equal(out[0], out[2])
        assert torch.equal(mask[0], mask[1])


def test_window_holds_an_object():
    frames, masks = coded_clip()
    for seed in range(20):
        _, mask = ClipAugmentation(size=(16, 16), scale=(0.2, 0.4))(frames, masks, seed=seed)
        assert (mask[0] == 1).any()


def test_same_seed_same_result_and_global_state_untouched():
    frames, masks = coded_clip()
    augment = ClipAugmentation(size=(32, 48))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = augment(frames, masks, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    second = augment(frames, masks, seed=3)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert any(not torch.equal(first[0], augment(frames, masks, seed=s)[0]) for s in range(4, 8))


def test_flip_mirrors():
    frames, masks = coded_clip(32, 48)
    straight = ClipAugmentation(size=(32, 48), scale=(1.0, 1.0), flip=0.0)
    mirrored = ClipAugmentation(size=(32, 48), scale=(1.0, 1.0), flip=1.0)
    a, b = (
        straight(frames, masks, seed=0, photometry=False),
        mirrored(frames, masks, seed=0, photometry=False),
    )
    assert torch.equal(a[1], masks)
    assert torch.equal(b[1], masks.flip(-1))
    assert torch.equal(b[0], frames.flip(-1))


def test_clip_without_objects_is_cut_anywhere():
    frames, masks = coded_clip()
    out, mask = ClipAugmentation(size=(16, 24))(frames, torch.zeros_like(masks), seed=0)
    assert out.shape[-2:] == mask.shape[-2:] == (16, 24)
    assert not mask.any()
