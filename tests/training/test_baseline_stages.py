"""The stages of VS-ReID's parts and of MSK: what they see, what they train."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_training import draw_clips
from torch import nn

from dyenet.config import load_config
from dyenet.errors import ConfigError, WeightsError
from dyenet.models.weights import save_network
from dyenet.registry import MODELS
from dyenet.structures import Clip
from dyenet.training.baselines import GuideConfig, pixel_loss
from dyenet.training.batch import ClipBatch

EXACT = dict(tps=0.0, dilation=0, jitter=0.0)
NETWORK = "_base_/models/vsreid_tiny.py"


def stage(kind: str, **options):
    torch.manual_seed(0)
    network = options.pop("network", None) or load_config(NETWORK).model.to_dict()
    return MODELS.build(dict(type=kind, network=network, **options)).train()


def moving_square(step: int = 4) -> Clip:
    """A square that moves to the right by ``step`` pixels a frame, with its exact flow; the picture is its mask."""
    masks = torch.zeros(3, 48, 64, dtype=torch.uint8)
    for t in range(3):
        masks[t, 10:26, 8 + step * t : 24 + step * t] = 1
    flow = torch.zeros(2, 2, 48, 64, dtype=torch.float16)
    flow[:, 0] = -step
    frames = (masks * 255)[:, None].expand(-1, 3, -1, -1).contiguous()
    return Clip(frames, masks, flow, [0], ["square"])


def test_guides_are_carried_to_where_the_object_is():
    training = stage("PropagationTraining", streams="joint", guides=EXACT)
    batch = ClipBatch.collate([moving_square()])
    objects, frames = training.guides.draw(batch, first_frame=1)
    images, flow, guides, boxes = training.patches(batch, objects, frames)
    assert sorted(frames.tolist()) == [1, 2]
    for row, t in enumerate(frames.tolist()):
        # 0.15 of 16 pixels is 2.4
        expected = [8 + 4 * t - 2.4, 7.6, 24 + 4 * t + 2.4, 28.4]
        assert boxes[row].tolist() == pytest.approx(expected, abs=1e-3)
        assert (guides[row] - images[row, 0] / 255).abs().max() < 0.01  # the guide is the picture's mask
    assert flow[:, 0].unique().tolist() == pytest.approx([-4] * len(flow[:, 0].unique()))


def test_guides_of_the_same_frame_need_no_flow():
    config = GuideConfig(source="same_frame", tps=0.0, dilation=0)
    batch = ClipBatch.collate([moving_square()])
    objects, frames = config.draw(batch, first_frame=0)
    assert sorted(frames.tolist()) == [0, 1, 2]
    assert torch.equal(config.worn(batch, objects, frames), batch.masks[objects, frames])


def test_pairs_are_drawn_only_where_the_object_shows_in_both_frames():
    clip = moving_square()
    clip.masks[1] = 0
    assert len(GuideConfig().draw(ClipBatch.collate([clip]), first_frame=0)[0]) == 0
    config = GuideConfig(max_per_clip=1)
    objects, _ = config.draw(ClipBatch.collate([moving_square(), moving_square(2)]), first_frame=0)
    assert objects.tolist() == [0, 1]


def test_worn_masks_differ_from_the_truth_but_depend_on_the_clip_alone():
    config = GuideConfig(source="same_frame")
    worn = []
    for _ in range(2):
        batch = ClipBatch.collate([moving_square()])
        worn.append(config.worn(batch, *config.draw(batch, first_frame=0)))
    assert torch.equal(worn[0], worn[1])
    truth = ClipBatch.collate([moving_square()]).masks
    assert (worn[0].sum((1, 2)) > 0).all()
    assert not torch.equal(worn[0], truth[0])


def test_the_loss_leaves_void_out():
    log_probabilities = torch.log(torch.tensor([0.25, 0.75])).reshape(1, 2, 1, 1).expand(1, 2, 1, 3)
    truth, valid = torch.tensor([[[1.0, 0, 0]]]), torch.tensor([[[1.0, 1, 0]]])
    expected = (-math.log(0.75) - math.log(0.25)) / 2
    assert pixel_loss(log_probabilities, truth, valid).item() == pytest.approx(expected)


STAGES = {
    "propagation.rgb": dict(kind="PropagationTraining", streams="rgb"),
    "propagation.flow": dict(kind="PropagationTraining", streams="flow"),
    "propagation": dict(kind="PropagationTraining", streams="joint"),
    "detector": dict(kind="DetectorTraining"),
    "identification": dict(kind="IdentificationTraining", num_identities=32),
}


@pytest.mark.parametrize("part", STAGES)
def test_a_stage_trains_its_part_and_nothing_else(part):
    options = dict(STAGES[part])
    training = stage(options.pop("kind"), **options)
    clips = draw_clips(2)
    training(clips)
    training.after_step()  # fills the OIM table
    training.parse_losses(training(clips))[0].backward()
    with_gradient = {n for n, p in training.network.named_parameters() if p.grad is not None}
    own = {n for n, _ in training.network.named_parameters() if n.startswith(f"{part}.")}
    assert with_gradient == own
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in training.parameters())


@pytest.mark.parametrize("part", STAGES)
def test_clips_without_objects_give_a_finite_loss_with_a_graph(part):
    options = dict(STAGES[part])
    training = stage(options.pop("kind"), **options)
    clip = draw_clips(1)[0]
    empty = Clip(clip.frames, torch.zeros_like(clip.masks), clip.flow, [], clip.sources)
    loss, _ = training.parse_losses(training([empty]))
    loss.backward()
    assert torch.isfinite(loss)


def test_the_flow_stream_begins_as_the_rgb_stream():
    training = stage("PropagationTraining", streams="flow", start_flow="rgb_mean")
    rgb, flow = training.network.propagation.rgb, training.network.propagation.flow
    assert torch.equal(rgb.aspp.out_conv2d.weight, flow.aspp.out_conv2d.weight)
    assert torch.allclose(flow.backbone.conv1_1.weight[:, 1], rgb.backbone.conv1_1.weight.mean(1))


def test_msk_sees_the_previous_mask_where_it_was():
    network = load_config("_base_/models/msk_small.py").model.to_dict()
    network |= dict(aspp_channels=8)
    training = stage("MSKTraining", network=network, guides=dict(**EXACT, max_per_clip=1))
    seen = []
    logits = training.network.logits
    training.network.logits = lambda images, masks: seen.append((images, masks)) or logits(images, masks)
    clip = moving_square()
    training.parse_losses(training([clip]))[0].backward()
    images, masks = seen[0]
    shown = [t for t in (1, 2) if torch.equal(images[0], clip.frames[t].float())]
    assert len(shown) == 1
    assert torch.equal(masks[0], clip.masks[shown[0] - 1].float())
    assert training.network.stream.backbone.prob_encode.weight.grad.abs().sum() > 0


def test_each_network_begins_with_the_trunk_of_another(tmp_path):
    trunk = dict(type="SmallTrunk", dilations=(1,))
    other = nn.ModuleDict({"trunk": MODELS.build(trunk)})
    save_network(other, {}, tmp_path / "distilled.safetensors", dtype=torch.float32)
    network = dict(type="MSK", trunk=trunk, aspp_channels=8)
    options = dict(network=network, init_from=str(tmp_path / "distilled.safetensors"))
    training = stage("MSKTraining", **options, init_parts={"stream.backbone.trunk": "trunk"})
    own = training.network.stream.backbone.trunk.state_dict()
    assert all(torch.equal(own[k], v) for k, v in other["trunk"].state_dict().items())
    with pytest.raises(WeightsError, match="head"):
        stage("MSKTraining", **options, init_parts={"stream.backbone.trunk": "head"})


def test_parts_that_are_not_there_are_named():
    network = load_config(NETWORK).model.to_dict()
    alone = {**network, "detector": None, "identification": None}
    with pytest.raises(ConfigError, match="FasterRCNN"):
        stage("DetectorTraining", network=alone)
    with pytest.raises(ConfigError, match="no person_identification"):
        stage("IdentificationTraining", num_identities=3, people=True)
    alone["propagation"] = {**network["propagation"], "flow_stream": False}
    with pytest.raises(ConfigError, match="flow_stream=False"):
        stage("PropagationTraining", network=alone, streams="joint")


def test_the_identification_stage_moves_the_norm_of_what_its_net_pools():
    network = load_config(NETWORK).model.to_dict()
    network["identification"]["pooled_norm"] = True
    training = stage("IdentificationTraining", network=network, num_identities=32)
    training(draw_clips(2))
    training.after_step()
    norm = training.network.identification.pooled_norm
    assert norm.updates == 1
    assert norm.mean.abs().max() > 0
