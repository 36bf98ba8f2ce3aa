"""VS-ReID's and MSK's networks: the guide, the two streams, the names of the released weights."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet101
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from dyenet.config import load_config
from dyenet.errors import ConfigError, WeightsError
from dyenet.models.baselines.convert import (
    RELEASED_MEAN,
    RELEASED_STD,
    load_imagenet_resnet101,
    load_released_vsreid,
    load_torchvision_faster_rcnn,
)
from dyenet.models.baselines.guided_resnet import GuidedResNet
from dyenet.models.baselines.guided_stream import pad_sides
from dyenet.models.blocks import fuse_frozen_norms
from dyenet.registry import MODELS

TINY = dict(type="MaskPropagationNetwork", patch_size=65, blocks=(1, 1, 1, 1), planes=4, aspp_channels=8)
SLIM = dict(type="SmallTrunk", dilations=(1,))
ON_TRUNK = dict(
    type="MaskPropagationNetwork", patch_size=65, trunk=SLIM, aspp_channels=8, aspp_dilations=(2, 1)
)
DETECTOR = dict(
    type="FasterRCNN",
    backbone=SLIM,
    sizes=(16, 32),
    representation=16,
    short_side=64,
    long_side=128,
)
IDENTIFICATION = dict(
    type="IdentificationNet",
    blocks=(1, 1, 2, 1),
    planes=4,
    split=1,
    embedding_dim=8,
    short_side=64,
    long_side=128,
)


def build(block, **changes):
    torch.manual_seed(0)
    return MODELS.build({**block, **changes}).eval()


def inputs(size=65, batch=2):
    torch.manual_seed(1)
    return (
        torch.rand(batch, 3, size, size) * 255,
        torch.randn(batch, 2, size, size),
        torch.rand(batch, size, size),
    )


@pytest.mark.parametrize("stem", ["deep", "plain"])
def test_the_guide_is_one_more_input_channel(stem):
    torch.manual_seed(0)
    net = GuidedResNet(3, blocks=(1, 1, 1, 1), planes=4, stem=stem, norm="frozen_bn").eval()
    x, guide = torch.randn(1, 3, 33, 33), torch.rand(1, 1, 33, 33)
    joined = nn.Conv2d(4, 4, net.first_conv.kernel_size, 2, net.first_conv.padding, bias=False)
    joined.weight.data = torch.cat([net.first_conv.weight, net.prob_encode.weight], dim=1)
    expected = joined(torch.cat([x, guide], dim=1))
    seen = []
    (net.bn1_1 if stem == "deep" else net.bn1).register_forward_hook(
        lambda m, i, o: seen.append(i[0].clone())
    )
    net(x, guide)
    assert torch.allclose(seen[0], expected, atol=1e-5)


def test_stride_8_and_the_released_dilations():
    net = GuidedResNet(2, blocks=(2, 2, 2, 2), planes=4, stem="deep", norm="bn").eval()
    assert net(torch.zeros(1, 2, 65, 65), torch.zeros(1, 1, 65, 65)).shape == (1, 128, 9, 9)
    dilations = [block.conv2.dilation[0] for k in (1, 2, 3, 4) for block in getattr(net, f"layer{k}")]
    assert dilations == [1, 1, 1, 1, 2, 2, 4, 4]


def test_a_trunk_with_a_blind_guide_gives_its_own_map():
    """And with a guide that is heard, the first norm's output is moved by it: one more input channel."""
    net = build(ON_TRUNK).rgb.backbone
    x, guide = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    seen = []
    net.trunk.stem[2].register_forward_hook(lambda m, i, o: seen.append(o.clone()))
    heard = net(x, guide)
    expected = (net.trunk.stem[1](net.trunk.stem[0](x)) + net.prob_encode(guide)).relu()
    assert torch.allclose(seen[0], expected, atol=1e-6)
    net.prob_encode.weight.data.zero_()
    assert torch.allclose(net(x, guide), net.trunk.maps(x)[0], atol=1e-6)
    assert not torch.allclose(heard, net(x, guide), atol=1e-3)


def test_the_identification_net_stands_on_a_trunk_too():
    net = build({**IDENTIFICATION, "trunk": SLIM}, norm="gn")
    image = torch.rand(1, 3, 64, 96) * 255
    image[:, :, :, 48:] = 0
    boxes = torch.tensor([[4.0, 4, 40, 40], [52.0, 4, 90, 40], [4.0, 4, 40, 40]])
    found = net(image, boxes, torch.zeros(3, dtype=torch.long))
    assert found.shape == (3, 8)
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(found[0], found[2])
    assert not torch.allclose(found[0], found[1], atol=1e-2)
    assert net.extract_features(image)[0].shape[-2:] == (8, 12)  # 1/8 of 64 x 96


def test_averaging_is_the_mean_of_the_two_softmaxes():
    network = build(TINY)
    rgb = torch.tensor([0.0, math.log(3)]).reshape(1, 2, 1, 1)  # probability 3/4
    flow = torch.tensor([0.0, 0.0]).reshape(1, 2, 1, 1)  # 1/2
    assert network.fuse([rgb, flow]).exp()[0, 1].item() == pytest.approx(5 / 8)
    network.fusion = "logit_sum"
    assert network.fuse([rgb, flow]).exp()[0, 1].item() == pytest.approx(3 / 4)


def test_forward_joins_what_the_streams_say():
    network = build(TINY)
    images, flow, guides = inputs()
    both = network(images, flow, guides)
    alone = [network(images, flow, guides, [name]) for name in ("rgb", "flow")]
    assert both.shape == (2, 65, 65)
    assert torch.allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)
    assert (alone[0] - alone[1]).abs().max() > 1e-4


def test_each_stream_sees_its_own_input_and_the_guide():
    network = build(TINY)
    images, flow, guides = inputs()
    for name, blind, seen in (("rgb", 1, 0), ("flow", 0, 1)):
        values = [images, flow, guides]
        before = network(*values, [name])
        for position in range(3):
            changed = list(values)
            changed[position] = changed[position].flip(-1)
            same = torch.equal(network(*changed, [name]), before)
            assert same == (position == blind), (name, position, seen)


@pytest.mark.parametrize("block", [TINY, ON_TRUNK])
def test_corners_of_the_map_stay_on_corners_of_the_patch(block):
    """The logits at pixels 0, 8, 16 ... are those of the 1/8 map, without any interpolation."""
    network = build(block)
    images, flow, guides = inputs(batch=1)
    coarse = []
    network.rgb.classifier.register_forward_hook(lambda m, i, o: coarse.append(o))
    (logits,) = network.logits(images, flow, guides, ["rgb"])
    assert torch.allclose(logits[..., ::8, ::8], coarse[0], atol=1e-5)


@pytest.mark.parametrize("block", [TINY, ON_TRUNK])
def test_folding_frozen_norms_changes_nothing(block):
    network = build(block)
    for norm in network.modules():
        if hasattr(norm, "running_mean"):
            norm.running_mean.normal_(0, 0.1)
            norm.weight.uniform_(0.5, 1.5)
    before = network(*inputs())
    fuse_frozen_norms(network)
    assert torch.allclose(network(*inputs()), before, atol=1e-4)


@pytest.mark.parametrize("block", [TINY, ON_TRUNK])
@pytest.mark.parametrize("first_conv", ["rgb_mean", "random"])
def test_the_flow_stream_starts_as_the_rgb_stream(first_conv, block):
    network = build(block)
    own = network.flow.backbone.first_conv.weight.detach().clone()
    network.start_flow_from_rgb(first_conv)
    first = network.flow.backbone.first_conv.weight
    rgb = network.rgb.state_dict()
    mean = network.rgb.backbone.first_conv.weight.mean(1)
    for channel in range(2):
        assert torch.allclose(first[:, channel], mean if first_conv == "rgb_mean" else own[:, channel])
    rest = {k: v for k, v in network.flow.state_dict().items() if v.shape != first.shape}
    assert len(rest) == len(rgb) - 1
    assert all(torch.equal(v, rgb[k]) for k, v in rest.items())


def test_sides_are_padded_to_8k_plus_1():
    assert pad_sides(torch.zeros(1, 1, 65, 66)).shape[-2:] == (65, 73)
    msk = build(dict(type="MSK", blocks=(1, 1, 1, 1), planes=4, aspp_channels=8))
    masks = torch.zeros(1, 30, 50)
    images = torch.rand(1, 3, 30, 50) * 255
    without = msk(images, masks)
    assert without.shape == (1, 30, 50)
    assert not torch.equal(msk(images, masks + 1), without)  # the previous mask is an input


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="8k \\+ 1"):
        build(TINY, patch_size=64)
    with pytest.raises(ConfigError, match="fusion is 'sum'"):
        build(TINY, fusion="sum")
    with pytest.raises(ConfigError, match="both detector and identification"):
        build(dict(type="VSReID", propagation=TINY, detector=DETECTOR))
    parts = dict(detector=DETECTOR, identification=IDENTIFICATION, person_identification=IDENTIFICATION)
    with pytest.raises(ConfigError, match="person_class set"):
        build(dict(type="VSReID", propagation=TINY, **parts))
    with pytest.raises(ConfigError, match="flow_stream=False"):
        build(TINY, flow_stream=False)(*inputs(), ["flow"])


def test_the_paper_s_two_streams_have_the_released_size():
    with torch.device("meta"):
        network = MODELS.build(dict(type="MaskPropagationNetwork"))
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    assert shapes["rgb.backbone.conv1_1.weight"] == (64, 3, 3, 3)
    assert shapes["flow.backbone.conv1_1.weight"] == (64, 2, 3, 3)
    assert shapes["flow.backbone.prob_encode.weight"] == (64, 1, 3, 3)
    assert shapes["rgb.backbone.conv1_3.weight"] == (128, 64, 3, 3)
    assert shapes["rgb.backbone.layer3.22.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["rgb.aspp.conv2d_list.4.weight"] == (512, 2048, 3, 3)
    assert shapes["rgb.aspp.out_conv2d.weight"] == (512, 2560, 3, 3)
    assert shapes["rgb.classifier.weight"] == (2, 512, 1, 1)


def released(network):
    """A state dict as the released file has it: its names, BGR, counters of batch norm."""
    parts = {"rgb.backbone": "backbone", "rgb.aspp": "aspp", "rgb.classifier": "classifier"}
    parts |= {k.replace("rgb.", "flow."): f"flow_{v}" for k, v in parts.items()}
    state = {}
    for key, value in network.state_dict().items():
        stream, part, rest = key.split(".", 2)
        state[f"module.{parts[f'{stream}.{part}']}.{rest}"] = torch.randn_like(value).abs() + 0.1
        if rest.endswith("running_mean"):
            state[f"module.{parts[f'{stream}.{part}']}.{rest[:-12]}num_batches_tracked"] = torch.tensor(7)
    return state


def test_the_released_weights_are_renamed_and_turned_from_bgr():
    block = dict(**TINY, fusion="logit_sum", mean=RELEASED_MEAN, std=RELEASED_STD)
    network = build(block)
    state = released(network)
    load_released_vsreid(network, state)
    own = network.state_dict()
    assert torch.equal(
        own["rgb.backbone.conv1_1.weight"][:, 0], state["module.backbone.conv1_1.weight"][:, 2]
    )
    assert torch.equal(own["flow.backbone.conv1_1.weight"], state["module.flow_backbone.conv1_1.weight"])
    assert torch.equal(own["flow.aspp.out_bn2d.running_var"], state["module.flow_aspp.out_bn2d.running_var"])
    assert torch.equal(own["rgb.classifier.bias"], state["module.classifier.bias"])
    images = inputs()[0]
    bgr = images.flip(1) - torch.tensor([104.0, 117.0, 123.0]).reshape(1, 3, 1, 1)
    expected = nn.functional.conv2d(bgr, state["module.backbone.conv1_1.weight"], stride=2, padding=1)
    normalised = (images - network.mean) / network.std
    assert torch.allclose(network.rgb.backbone.conv1_1(normalised), expected, atol=1e-2, rtol=1e-4)


def test_the_released_config_takes_the_released_weights():
    block = load_config("vsreid/r101_released.py").model.propagation.to_dict()
    network = build({**block, **TINY})
    state = released(network)
    load_released_vsreid(network, state)
    assert torch.equal(network.state_dict()["flow.classifier.bias"], state["module.flow_classifier.bias"])


def test_released_weights_that_do_not_fit_are_refused_by_name():
    block = dict(**TINY, fusion="logit_sum", mean=RELEASED_MEAN, std=RELEASED_STD)
    state = released(build(block))
    with pytest.raises(WeightsError, match=r"fusion is 'softmax_average'.*mean is not"):
        load_released_vsreid(build(TINY), state)
    with pytest.raises(WeightsError, match=r"unexpected .*: module.head.weight"):
        load_released_vsreid(build(block), {**state, "module.head.weight": torch.zeros(1)})
    del state["module.aspp.out_conv2d.weight"]
    with pytest.raises(WeightsError, match=r"missing: rgb\.aspp\.out_conv2d\.weight"):
        load_released_vsreid(build(block), state)


def test_imagenet_weights_fit_the_plain_stem():
    with torch.device("meta"):
        state = resnet101(weights=None).state_dict()
    torch.manual_seed(0)
    net = GuidedResNet(3, blocks=(3, 4, 23, 3), planes=64, stem="plain", norm="frozen_bn")
    guide = net.prob_encode.weight.detach().clone()
    load_imagenet_resnet101(net, {k: torch.full(v.shape, 0.5) for k, v in state.items()})
    assert net.layer4[2].conv3.weight.unique().tolist() == [0.5]
    assert torch.equal(net.prob_encode.weight, guide)
    with pytest.raises(WeightsError, match="plain stem"):
        load_imagenet_resnet101(GuidedResNet(3, blocks=(1, 1, 1, 1), planes=4, stem="deep", norm="bn"), {})


def test_candidates_are_inside_the_frame_and_sorted():
    detector = build(DETECTOR)
    with torch.no_grad():
        found = detector(torch.rand(2, 3, 48, 80) * 255, max_proposals=7)
    assert [len(f) <= 7 for f in found] == [True, True]
    for proposals in found:
        assert len(proposals)
        assert (proposals.boxes >= 0).all()
        assert (proposals.boxes <= torch.tensor([80.0, 48, 80, 48])).all()
        assert (proposals.objectness.diff() <= 0).all()


def test_the_detector_learns_where_things_are():
    """Bright squares on black: after some steps the best box lies on the square."""
    detector = build(DETECTOR).train()
    optimiser = torch.optim.Adam(detector.parameters(), 2e-3)
    image, box = torch.zeros(1, 3, 64, 64), torch.tensor([[16.0, 24, 48, 56]])
    image[:, :, 24:56, 16:48] = 255
    first = None
    for _ in range(25):
        loss = torch.stack(list(detector.losses(image, [box]).values())).sum()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5 * first
    with torch.no_grad():
        (found,) = detector.eval()(image)
    assert (found.boxes[0] - box[0]).abs().max() < 12


def test_coco_s_faster_rcnn_fits_and_knows_people():
    with torch.device("meta"):
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
        detector = MODELS.build(dict(type="FasterRCNN", num_classes=91, person_class=1))
    own = {k: v.shape for k, v in detector.model.state_dict().items()}
    assert own == {k: v.shape for k, v in theirs.items() if not k.endswith("num_batches_tracked")}
    tiny = build(DETECTOR, num_classes=3, person_class=2)
    state = {k: torch.zeros_like(v) for k, v in tiny.model.state_dict().items()}
    bias = torch.tensor([0.0, math.log(2), math.log(6)])
    load_torchvision_faster_rcnn(tiny, {**state, "roi_heads.box_predictor.cls_score.bias": bias})
    with torch.no_grad():
        people = tiny.person_probabilities(torch.zeros(3, 64, 64), torch.tensor([[8.0, 8, 40, 40]]))
    assert people.tolist() == pytest.approx([6 / 8])
    with pytest.raises(ConfigError, match="person_class is 2"):
        build(DETECTOR, person_class=2)


def test_embeddings_are_of_unit_length_and_follow_the_boxes():
    net = build(IDENTIFICATION)
    images = torch.rand(2, 3, 48, 80) * 255
    boxes = torch.tensor([[0.0, 0, 40, 40], [40, 0, 80, 40], [0, 0, 40, 40]])
    with torch.no_grad():
        features = net.extract_features(images)
        embeddings = net.embed(features, boxes, torch.tensor([0, 0, 1]))
        alone = net(images[1:], boxes[2:], torch.tensor([0]))
    assert features[0].shape == (2, 64, 4, 7)  # 48x80 resized to 64x107, at 1/16
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3))
    assert torch.allclose(embeddings[2:], alone, atol=1e-5)
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-4


def test_the_identification_net_is_a_resnet50_split_after_conv4_3():
    with torch.device("meta"):
        net = MODELS.build(dict(type="IdentificationNet"))
    assert [len(net.layer1), len(net.layer2), len(net.layer3), len(net.layer4)] == [3, 4, 6, 3]
    assert net.split == 3
    assert net.layer4[0].conv2.stride == (2, 2)
    assert net.layer4[0].conv1.stride == (1, 1)
    assert tuple(net.fc.weight.shape) == (256, 2048)


def test_the_identification_net_runs_in_bfloat16():
    net = build(IDENTIFICATION)
    images, boxes = inputs(64)[0], torch.tensor([[4.0, 8.0, 40.0, 50.0], [20.0, 4.0, 60.0, 44.0]])
    exact = net(images, boxes, torch.arange(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = net(images, boxes, torch.arange(2))
    whole = net.bfloat16()(images, boxes, torch.arange(2))
    for rough in (under_autocast, whole):
        assert rough.dtype == torch.float32
        assert torch.linalg.vector_norm(rough, dim=1).tolist() == pytest.approx([1, 1], abs=1e-3)
        assert F.cosine_similarity(rough, exact).min() > 0.98
