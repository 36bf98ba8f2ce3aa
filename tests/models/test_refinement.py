"""Refinement of masks: what it starts from, that it can follow the frame, and its place in the network."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dyenet.config import load_config
from dyenet.errors import ConfigError
from dyenet.models.dyenet import DyeNet
from dyenet.models.motion import MotionCue
from dyenet.models.refinement import SUREST, TRUST, MaskRefinement
from dyenet.registry import MODELS


@pytest.fixture(scope="module")
def network() -> DyeNet:
    torch.manual_seed(0)
    config = load_config("dyenet/small.py", ["model.motion=None"]).model
    built: DyeNet = MODELS.build(config).eval().requires_grad_(False)
    torch.nn.init.normal_(built.refinement.correction.weight)
    return built


def test_it_starts_as_bilinear_upsampling_and_a_little_of_the_warped_mask():
    refinement = MaskRefinement(fine_channels=4, channels=8)
    logits, warped = torch.randn(2, 14, 14), torch.rand(2, 28, 28)
    parts = torch.randn(2, 2, 5, 3, 3)
    refined = refinement(logits, torch.randn(2, 4, 14, 14), torch.randn(2, 4, 28, 28), warped, parts)
    upsampled = F.interpolate(logits[:, None], size=28, mode="bilinear")[:, 0]
    trust = 1 / (1 + math.exp(-TRUST))
    expected = (1 - trust) * upsampled + trust * (warped / (1 - warped)).log().clamp(-SUREST, SUREST)
    assert torch.allclose(refined, expected, atol=1e-5)


def test_it_learns_to_follow_lines_that_are_thinner_than_a_cell_of_the_mask():
    torch.manual_seed(0)
    refinement = MaskRefinement(fine_channels=4, channels=16)
    optimiser = torch.optim.Adam(refinement.parameters(), lr=5e-3)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Bright lines of one pixel, each in a place of its own, and their masks."""
        mask = torch.zeros(count, 28, 28)
        mask[torch.arange(count), :, torch.randint(28, (count,))] = 1
        return (2 * mask[:, None] - 1 + 0.1 * torch.randn(count, 4, 28, 28)), mask

    def refine(pixels: torch.Tensor) -> torch.Tensor:
        count = len(pixels)
        return refinement(
            torch.zeros(count, 14, 14),
            torch.zeros(count, 4, 14, 14),
            pixels,
            torch.full((count, 28, 28), 0.5),
            torch.zeros(count, 2, 5, 3, 3),
        )

    for _ in range(120):
        pixels, mask = draw(8)
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(refine(pixels), mask).backward()
        optimiser.step()
    pixels, mask = draw(20)
    found = refine(pixels) > 0
    assert (found & (mask > 0)).sum() / (found | (mask > 0)).sum() > 0.9


def test_it_learns_to_keep_the_warped_mask_where_the_frame_has_not_changed():
    torch.manual_seed(0)
    refinement = MaskRefinement(fine_channels=4, channels=16)
    optimiser = torch.optim.Adam(refinement.parameters(), lr=5e-3)

    def refine(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Half of the frame has changed: there the logits are right, elsewhere the warped mask is; and the truth."""
        coarse, warped = torch.rand(count, 14, 14).round(), torch.rand(count, 28, 28).round()
        pixels = torch.randn(count, 4, 28, 28)
        pixels[:, 3] = (torch.arange(28) < torch.randint(29, (count, 1, 1))).float()
        upsampled = F.interpolate(4 * (2 * coarse[:, None] - 1), size=28, mode="bilinear")[:, 0] > 0
        truth = torch.where(pixels[:, 3] == 0, warped, upsampled.float())
        parts = torch.zeros(count, 2, 5, 3, 3)
        return refinement(4 * (2 * coarse - 1), torch.zeros(count, 4, 14, 14), pixels, warped, parts), truth

    for _ in range(120):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(*refine(8)).backward()
        optimiser.step()
    found, truth = refine(20)
    assert ((found > 0) == (truth > 0)).float().mean() > 0.97


def test_it_learns_to_add_what_moves_along():
    torch.manual_seed(0)
    refinement = MaskRefinement(fine_channels=4, channels=16)
    motion = MotionCue(roi_channels=4, refined_channels=16, cells=7)
    optimiser = torch.optim.Adam([*refinement.parameters(), *motion.parameters()], lr=5e-3)

    def refine(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Half of an object is known; all of it moves."""
        left = torch.randint(20, (count, 1, 1))
        columns = torch.arange(28)
        truth = ((columns >= left) & (columns < left + 8)).float().repeat(1, 28, 1)
        known = truth.clone()
        known[:, 14:] = 0
        contrast = 0.8 * (2 * truth - 1) + 0.1 * torch.randn(count, 28, 28)
        heard, seen = motion(contrast)
        assert heard.shape == (count, 4, 7, 7)
        parts = torch.zeros(count, 2, 5, 3, 3)
        logits = refinement(
            torch.zeros(count, 14, 14),
            torch.zeros(count, 4, 14, 14),
            torch.randn(count, 4, 28, 28),
            known,
            parts,
            motion=seen,
        )
        return logits, truth

    for _ in range(120):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(*refine(8)).backward()
        optimiser.step()
    found, truth = refine(20)
    lower = (found > 0)[:, 14:], (truth > 0)[:, 14:]
    assert (lower[0] & lower[1]).sum() / (lower[0] | lower[1]).sum() > 0.9


def test_a_network_begins_deaf_to_motion_and_can_learn_to_hear_it(network):
    config = load_config("dyenet/small.py").model
    hearing = MODELS.build(config).eval()
    hearing.load_state_dict(network.state_dict(), strict=False)
    features = network.extract_features(torch.randint(0, 256, (1, 3, 128, 160), dtype=torch.uint8))
    boxes, rows, warped = torch.tensor([[8.0, 8.0, 100.0, 110.0]]), torch.tensor([0]), torch.rand(1, 112, 112)
    roi, fine = network.roi_features(features, boxes, rows), network.fine_roi_features(features, boxes, rows)
    pixels = network.pixels(features, boxes, rows, torch.rand(1, 1, 128, 160))
    template = network.template(roi, warped, fine)
    hidden = network.begin(roi, F.avg_pool2d(warped[:, None], 4)[:, 0])
    given = (roi, hidden, warped, fine, pixels, template)
    plain, heard = network.propagate(*given), hearing.propagate(*given, torch.rand(1, 112, 112) * 2 - 1)
    assert torch.equal(plain.logits, heard.logits)
    heard.logits.sum().backward()
    assert hearing.motion.fine.weight.grad.any()
    with pytest.raises(ConfigError, match=r"goes with model\.refinement"):
        MODELS.build({**config, "refinement": None})


def test_a_network_with_it_gives_masks_twice_as_fine_and_carries_the_refined_one(network):
    assert network.mask_scale == 4
    assert network.mask_size == 112
    features = network.extract_features(torch.randint(0, 256, (1, 3, 128, 160), dtype=torch.uint8))
    boxes, rows = torch.tensor([[8.0, 8.0, 100.0, 110.0]]), torch.tensor([0])
    roi, warped = network.roi_features(features, boxes, rows), torch.rand(1, 112, 112)
    coarse = F.avg_pool2d(warped[:, None], 4)[:, 0]
    fine = network.fine_roi_features(features, boxes, rows)
    pixels = network.pixels(features, boxes, rows, torch.rand(1, 1, 128, 160))
    template = network.template(roi, warped, fine)
    output = network.propagate(roi, network.begin(roi, coarse), warped, fine, pixels, template)
    assert fine.shape[-2:] == (56, 56)
    assert output.logits.shape == (1, 112, 112)
    assert torch.allclose(output.hidden[:, -1], F.avg_pool2d(output.logits.sigmoid()[:, None], 4)[:, 0])
    head = network.propagation_head(
        roi,
        network.begin(roi, coarse),
        F.avg_pool2d(warped[:, None], 2)[:, 0],
        fine,
        network.match(roi, template),
    )
    assert torch.equal(output.logits, network.refinement(head.logits, fine, pixels, warped, template.parts))
    assert torch.equal(output.hidden[:, :-1], head.hidden[:, :-1])


def test_the_pixels_of_a_box_are_those_of_the_frame_and_its_photometric_error(network):
    images = torch.randint(0, 256, (2, 3, 128, 160), dtype=torch.uint8)
    errors = torch.zeros(2, 1, 128, 160)
    errors[1] = torch.arange(160) / 160.0
    boxes, rows = torch.tensor([[10.0, 5.0, 122.0, 117.0]]), torch.tensor([1])  # 112 pixels a side
    pixels = network.pixels(network.extract_features(images), boxes, rows, errors)
    assert torch.allclose(pixels[0, 3], (torch.arange(10, 122) / 160).expand(112, -1), atol=1e-5)
    # RoIAlign's two samples of a pixel lie a quarter of it to either side of its centre
    weights = torch.tensor([0.125, 0.75, 0.125])
    sampled = F.conv2d(images[1:].float().transpose(0, 1), torch.outer(weights, weights)[None, None])[:, 0]
    assert torch.allclose(pixels[0, :3] * 64 + 127.5, sampled[:, 4:116, 9:121], atol=0.01)


def test_it_needs_the_finer_output():
    config = load_config("dyenet/small.py", ["model.propagation_head.fine_scale=1"]).model
    with pytest.raises(ConfigError, match="fine_scale=2"):
        MODELS.build(config)


def test_without_it_the_frame_is_not_kept():
    plain = MODELS.build(
        load_config("dyenet/small.py", ["model.refinement=None", "model.motion=None"]).model
    ).eval()
    features = plain.extract_features(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert plain.mask_size == 56
    assert features.pixels is None
    assert plain.pixels(features, torch.zeros(1, 4), torch.tensor([0]), None) is None
