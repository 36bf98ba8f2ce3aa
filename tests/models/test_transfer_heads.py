"""scripts/transfer_heads.py: heads on another trunk give what they gave on the trunk that they learned on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from dyenet.config import load_config
from dyenet.errors import ConfigError
from dyenet.models.trunk import SmallTrunk
from dyenet.registry import MODELS

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from transfer_heads import Fit, fit, load_folded


@MODELS.register_module()
class MixedTrunk(SmallTrunk):
    """Features that hold a SmallTrunk's 256 and 64, mixed, in 320 and 128 channels."""

    def __init__(self, **options):
        super().__init__(**options)
        generator = torch.Generator().manual_seed(1)
        self.mixers = [torch.randn(new, old, generator=generator) for new, old in ((320, 256), (128, 64))]
        self.out_channels, self.fine_channels = 320, 128

    def forward(self, images):
        maps = super().forward(images)
        return tuple(torch.einsum("sc,bchw->bshw", m, f) for m, f in zip(self.mixers, maps, strict=True))


@pytest.fixture(scope="module")
def pair():
    """A network, one on the mixed trunk that began with its heads, and a picture."""
    torch.manual_seed(0)
    config = load_config("dyenet/small.py").model.to_dict()
    source = MODELS.build(config).eval().requires_grad_(False)
    mixed = MODELS.build({**config, "trunk": {**config["trunk"], "type": "MixedTrunk"}}).eval()
    mixed.trunk.load_state_dict(source.trunk.state_dict())
    frames = [torch.randint(0, 256, (1, 3, 192, 256), dtype=torch.uint8) for _ in range(4)]
    load_folded(mixed, source, fit(source.trunk, mixed.trunk, frames))
    return source, mixed.requires_grad_(False), frames[0]


def test_propagation_and_proposals_are_as_before(pair):
    boxes, rows, given = torch.tensor([[20.0, 30.0, 150.0, 140.0]]), torch.tensor([0]), torch.zeros(1, 56, 56)
    given[:, 10:40, 15:45] = 1
    found = []
    for network in pair[:2]:
        features = network.extract_features(pair[2])
        roi, fine = (get(features, boxes, rows) for get in (network.roi_features, network.fine_roi_features))
        head = network.propagation_head
        hidden = head.begin(roi, given[:, ::2, ::2])
        # pixel matching compares the trunk's own features: only the heads can be the same
        found.append(
            (head(roi, hidden, given, fine, torch.zeros(1, 28, 28)).logits, network.propose(features)[0])
        )
    (before, proposals), (after, same_proposals) = found
    assert before.std() > 0.1
    assert torch.allclose(after, before, atol=0.01 * float(before.abs().max()))
    assert torch.allclose(same_proposals.objectness, proposals.objectness, atol=1e-2)


def test_refinement_sees_what_it_saw(pair):
    boxes, rows = torch.tensor([[20.0, 30.0, 150.0, 140.0]]), torch.tensor([0])
    before, after = (
        n.refinement.lateral(n.fine_roi_features(n.extract_features(pair[2]), boxes, rows)) for n in pair[:2]
    )
    assert torch.allclose(after, before, atol=0.01 * float(before.abs().max()))


def test_a_new_shortcut_hands_the_features_on_nearly_as_they_were(pair):
    boxes, rows = torch.tensor([[0.0, 0.0, 256.0, 192.0]]), torch.tensor([0])
    source, mixed = (n.segment(n.roi_features(n.extract_features(pair[2]), boxes, rows)) for n in pair[:2])
    assert torch.corrcoef(torch.stack([source.flatten(), mixed.flatten()]))[0, 1] > 0.9


def test_heads_of_another_width_are_refused(pair):
    config = load_config("dyenet/small.py", ["model.reid_head.output_channels=64"]).model
    with pytest.raises(ConfigError, match=r"reid_head\.mask_output.* differs in more"):
        load_folded(MODELS.build(config), pair[0], [Fit(torch.zeros(256, 320), torch.zeros(9, 256))] * 2)
