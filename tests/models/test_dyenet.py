import pytest
import torch

from dyenet.config import load_config
from dyenet.errors import ConfigError
from dyenet.models.blocks import fuse_frozen_norms
from dyenet.models.conv5 import Conv5
from dyenet.models.dyenet import DyeNet
from dyenet.models.propagation_head import PropagationHead, RegionAttention
from dyenet.registry import MODELS
from dyenet.training.stage import keep_maps


def build(name: str, **overrides) -> DyeNet:
    config = load_config(f"dyenet/{name}.py", [f"{k}={v}" for k, v in overrides.items()])
    torch.manual_seed(0)
    return MODELS.build(config.model).eval()


def millions(module: torch.nn.Module) -> float:
    frozen = sum(b.numel() for n, b in module.named_buffers() if n.endswith((".weight", ".bias")))
    return (sum(p.numel() for p in module.parameters()) + frozen) / 1e6


def test_r101_has_the_paper_s_parameter_counts():
    with torch.device("meta"):
        network = MODELS.build(load_config("dyenet/r101.py").model)
    assert millions(network.trunk) == pytest.approx(27.6, abs=0.1)
    assert millions(network.reid_head.mask_conv5) == pytest.approx(15.0, abs=0.05)
    assert millions(network.reid_head.embedding_conv5) == pytest.approx(15.0, abs=0.05)
    # [x, h] widens conv1 (1x1, 512) and the projection (1x1, 2048) of the first block by 2048 inputs
    widened = (512 + 2048) * 2048 / 1e6
    assert millions(network.propagation_head.conv5) == pytest.approx(15.0 + widened, abs=0.05)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 93)])
def test_small_runs_on_any_size_and_says_where_its_cells_are(height, width):
    network = build("small")
    with torch.inference_mode():
        features = network.extract_features(torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8))
        assert features.coarse.shape == (2, 256, 8, 12)
        assert features.fine is not None
        assert features.fine.shape == (2, 64, 16, 24)
        assert features.image_size == (height, width)
        boxes, rows = torch.tensor([[4.0, 4.0, 40.0, 40.0], [0.0, 0.0, 90.0, 60.0]]), torch.tensor([0, 1])
        roi = network.roi_features(features, boxes, rows)
        assert roi.shape == (2, 256, 28, 28)
        assert torch.allclose(network.embed(roi).norm(dim=1), torch.ones(2), atol=1e-5)
        assert network.segment(roi).shape == (2, 28, 28)
        hidden = network.begin(roi, torch.ones(2, 28, 28))
        output = network.propagate(
            roi,
            hidden,
            torch.ones(2, 112, 112),
            network.fine_roi_features(features, boxes, rows),
            network.pixels(features, boxes, rows, torch.zeros(2, 1, height, width)),
            network.template(roi, torch.ones(2, 112, 112), network.fine_roi_features(features, boxes, rows)),
            torch.zeros(2, 112, 112),
        )
        assert output.logits.shape == (2, 112, 112)
        assert output.hidden.shape == hidden.shape


def test_proposals_are_inside_the_frame_sorted_and_bounded():
    network = build("small")
    with torch.inference_mode():
        features = network.extract_features(torch.randint(0, 256, (1, 3, 100, 150), dtype=torch.uint8))
        (proposals,) = network.propose(features, max_proposals=7)
    assert 0 < len(proposals) <= 7
    assert proposals.boxes.min() >= 0
    assert (proposals.boxes.max(0).values <= torch.tensor([150.0, 100.0, 150.0, 100.0])).all()
    assert (proposals.objectness.diff() <= 0).all()


def test_anchors_sit_on_a_stride_of_eight_whatever_the_frame_size():
    network = build("small")
    coarse = torch.zeros(1, 256, 60, 107)  # 854 // 107 would be 7
    _, _, anchors = network.rpn._predict(coarse, (480, 854))
    centres = (anchors[0][:, :2] + anchors[0][:, 2:]) / 2
    assert centres.max(0).values.tolist() == [106 * 8, 59 * 8]


def test_rpn_losses_have_a_graph_and_take_empty_truth():
    network = build("small")
    coarse = torch.randn(2, 256, 8, 8)
    losses = network.rpn.losses(coarse, (64, 64), [torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.zeros(0, 4)])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in network.rpn.parameters())


@pytest.mark.parametrize(("kernel", "cells"), [(1, 1), (3, 9)])
def test_attention_looks_as_far_as_its_kernel(kernel, cells):
    module = RegionAttention(1, rescale="sigmoid", kernel=kernel)
    torch.nn.init.ones_(module.conv.weight)
    hidden = torch.zeros(1, 1, 7, 7)
    hidden[..., 3, 3] = 1
    assert (module(hidden) > 0.5).sum() == cells


def attends(**kwargs) -> RegionAttention:
    module = RegionAttention(4, **kwargs)
    torch.nn.init.normal_(module.conv.weight)
    return module


def test_attention_begins_even():
    assert torch.equal(RegionAttention(4, rescale="area")(torch.randn(2, 4, 6, 6)), torch.ones(2, 6, 6))


@pytest.mark.parametrize(("rescale", "total"), [("none", 1.0), ("area", 36.0), ("residual", 72.0)])
def test_attention_sums(rescale, total):
    attention = attends(rescale=rescale)(torch.randn(2, 4, 6, 6))
    assert attention.std() > 0
    assert torch.allclose(attention.sum((1, 2)), torch.full((2,), total), atol=1e-4)


def test_attention_by_sigmoid_looks_at_each_cell_alone():
    attention = attends(rescale="sigmoid", kernel=1)
    hidden = torch.randn(1, 4, 6, 6)
    changed = hidden.clone()
    changed[..., 0, 0] = 0
    found = attention(changed)
    assert found[0, 0, 0] == 0.5
    assert torch.equal(found[0, 1:], attention(hidden)[0, 1:])


def test_residual_attention_silences_no_cell():
    assert attends(rescale="residual")(10 * torch.randn(2, 4, 6, 6)).min() >= 1


def test_attention_by_max_peaks_at_one():
    attention = attends(rescale="max")(torch.randn(2, 4, 6, 6))
    assert torch.allclose(attention.amax((1, 2)), torch.ones(2))


def head(**kwargs) -> PropagationHead:
    defaults = dict(in_channels=8, fine_channels=4, width=8, hidden_channels=16, output_channels=8, norm="gn")
    return PropagationHead(**{**defaults, **kwargs})


def test_the_first_hidden_state_is_zero_outside_the_mask():
    masks = torch.zeros(1, 14, 14)
    masks[0, 3:9, 4:10] = 1
    hidden = head().begin(torch.randn(1, 8, 14, 14), masks)
    assert hidden[0, :, masks[0] == 0].abs().max() == 0
    assert hidden[0, :, masks[0] == 1].abs().max() > 0


def test_the_mask_rides_along_as_a_channel():
    propagation = head(mask_entry="channel")
    masks = torch.rand(2, 14, 14)
    hidden = propagation.begin(torch.randn(2, 8, 14, 14), masks)
    assert hidden.shape == (2, 17, 14, 14)
    assert torch.equal(hidden[:, -1], masks)
    output = propagation(torch.randn(2, 8, 14, 14), hidden, masks)
    assert torch.allclose(output.hidden[:, -1], output.logits.sigmoid())


def test_the_mask_that_rides_along_is_the_mean_of_the_finer_one():
    propagation = head(mask_entry="channel", fine_scale=2)
    masks = torch.rand(2, 28, 28)
    hidden = propagation.begin(
        torch.randn(2, 8, 14, 14), torch.nn.functional.avg_pool2d(masks[:, None], 2)[:, 0]
    )
    output = propagation(torch.randn(2, 8, 14, 14), hidden, masks, torch.randn(2, 4, 28, 28))
    first = output.logits[0, :2, :2].sigmoid().mean()
    assert output.hidden[0, -1, 0, 0].item() == pytest.approx(first.item(), abs=1e-6)


def test_the_warped_mask_is_where_the_logits_start_from():
    propagation = head(mask_entry="channel", fine_scale=2)
    torch.nn.init.zeros_(propagation.output.conv3.weight)
    torch.nn.init.zeros_(propagation.output.conv3.bias)
    mask = (torch.randn(1, 28, 28) > 0).float()
    roi, hidden, fine_roi = torch.randn(1, 8, 14, 14), torch.randn(1, 17, 14, 14), torch.randn(1, 4, 28, 28)
    assert torch.equal(propagation(roi, hidden, mask, fine_roi).logits > 0, mask == 1)


def test_the_masks_gain_is_a_factor_of_the_weights_over_it():
    loud, plain = (
        head(mask_entry="channel", fine_scale=2, mask_gain=4.0),
        head(mask_entry="channel", fine_scale=2),
    )
    torch.nn.init.normal_(loud.fine.correction.weight)
    state = {k: v.clone() for k, v in loud.state_dict().items()}
    first = loud.conv5.blocks[0]
    over_mask = [first.conv1, first.downsample[0], loud.fine.refine[0]]
    names = [f"{name}.weight" for name, module in loud.named_modules() if module in over_mask]
    assert len(names) == 3
    for name in names:
        state[name][:, -1] *= 4
    plain.load_state_dict(state)
    roi, mask, fine_roi = torch.randn(1, 8, 14, 14), torch.rand(1, 28, 28), torch.randn(1, 4, 28, 28)
    coarse = torch.nn.functional.avg_pool2d(mask[:, None], 2)[:, 0]
    outputs = [one(roi, one.begin(roi, coarse), mask, fine_roi).logits for one in (loud, plain)]
    assert torch.allclose(*outputs, atol=1e-4)


def test_pixel_matching_moves_the_logits_and_is_heard_by_the_recurrence():
    propagation = head(mask_entry="channel", fine_scale=2, matched_channels=1)
    roi, mask, fine_roi = torch.randn(1, 8, 14, 14), torch.rand(1, 28, 28), torch.randn(1, 4, 28, 28)
    hidden = propagation.begin(roi, torch.nn.functional.avg_pool2d(mask[:, None], 2)[:, 0])
    no, yes = (
        propagation(roi, hidden, mask, fine_roi, torch.full((1, 14, 14), odds)) for odds in (-5.0, 5.0)
    )
    assert (yes.logits > no.logits).all()
    assert not torch.allclose(yes.hidden[:, :-1], no.hidden[:, :-1])
    with pytest.raises(ValueError, match="matched"):
        propagation(roi, hidden, mask, fine_roi)


def test_without_attention_the_hidden_state_goes_to_the_output_as_it_is():
    plain = head(attention=None)
    output = plain(torch.randn(1, 8, 14, 14), torch.randn(1, 16, 14, 14), torch.zeros(1, 14, 14))
    assert output.attention.unique().tolist() == [1]
    assert torch.allclose(plain.output(output.hidden), output.logits)


def test_the_hidden_state_passed_on_is_the_raw_one():
    attended = head(attention="area")
    torch.nn.init.normal_(attended.attention.conv.weight, std=0.1)  # it begins even
    output = attended(torch.randn(1, 8, 14, 14), torch.randn(1, 16, 14, 14), torch.zeros(1, 14, 14))
    enhanced = output.hidden * output.attention[:, None]
    assert torch.allclose(attended.output(enhanced), output.logits, atol=1e-5)
    assert not torch.allclose(attended.output(output.hidden), output.logits, atol=1e-3)


def test_the_attended_hidden_state_may_be_passed_on():
    attended = head(attention="sigmoid", carried="attended")
    output = attended(torch.randn(1, 8, 14, 14), torch.randn(1, 16, 14, 14), torch.zeros(1, 14, 14))
    assert torch.allclose(attended.output(output.hidden), output.logits, atol=1e-5)


def test_the_finer_output_starts_as_bilinear_upsampling():
    fine, roi, hidden = (
        head(fine_scale=2, attention=None),
        torch.randn(1, 8, 14, 14),
        torch.randn(1, 16, 14, 14),
    )
    output = fine(roi, hidden, torch.zeros(1, 28, 28), torch.randn(1, 4, 28, 28))
    coarse = fine.output(output.hidden)
    expected = torch.nn.functional.interpolate(coarse[:, None], size=28, mode="bilinear")[:, 0]
    assert torch.allclose(output.logits, expected, atol=1e-5)


def test_widened_conv5_ignores_a_zero_hidden_state():
    plain = Conv5(8, width=16, out_channels=32, stride=1, dilations=(2, 2, 2), norm="frozen_bn")
    widened = Conv5(
        8, width=16, out_channels=32, stride=1, dilations=(2, 2, 2), norm="frozen_bn", extra_channels=32
    )
    state = plain.state_dict()
    for key, own in widened.state_dict().items():
        if own.shape != state[key].shape:
            state[key] = torch.cat([state[key], torch.randn(own.shape[0], 32, 1, 1)], dim=1)
    widened.load_state_dict(state)
    x = torch.randn(2, 8, 10, 10)
    assert torch.allclose(widened(torch.cat([x, torch.zeros(2, 32, 10, 10)], dim=1)), plain(x), atol=1e-5)


def test_folding_the_frozen_norms_changes_nothing_but_the_time():
    network = build("small")
    for name, buffer in network.trunk.named_buffers():
        if name.endswith(("running_var", "running_mean", ".bias", ".weight")):
            buffer.uniform_(0.5, 1.5)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        before = network.trunk(images)[0]
        fuse_frozen_norms(network.trunk)
        after = network.trunk(images)[0]
    assert not any("FrozenBatchNorm2d" in type(m).__name__ for m in network.trunk.modules())
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-3 * before.abs().max().item())


@pytest.fixture
def external_trunk(tmp_path):
    (tmp_path / "theirs.py").write_text(
        "import torch\n"
        "class Theirs(torch.nn.Module):\n"
        "    out_channels = 6\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.early = torch.nn.Conv2d(3, 5, 4, 4)\n"
        "        self.late = torch.nn.Conv2d(5, 6, 2, 2)\n"
        "    def forward(self, x):\n"
        "        return self.late(self.early(x))\n"
        "    @classmethod\n"
        "    def from_file(cls, path):\n"
        "        return cls()\n"
    )
    (tmp_path / "weights").write_bytes(b"theirs")
    return MODELS.build(
        dict(
            type="ExternalTrunk",
            file=str(tmp_path / "theirs.py"),
            class_name="Theirs",
            weights=str(tmp_path / "weights"),
            fine_module="early",
            fine_channels=5,
        )
    )


def test_an_external_trunk_stays_out_of_the_saved_weights(external_trunk):
    coarse, fine = external_trunk(torch.full((1, 3, 30, 40), 127.5))
    assert coarse.shape == (1, 6, 4, 5)
    assert fine.shape == (1, 5, 8, 10)
    assert external_trunk.state_dict() == {}
    assert list(external_trunk.parameters()) == []


def test_an_external_trunk_is_of_the_dtype_of_autocast_and_back(external_trunk):
    image = torch.randint(0, 256, (1, 3, 32, 40), dtype=torch.uint8)
    exact = external_trunk(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = external_trunk(image)
    for maps, nearly, again in zip(exact, rough, external_trunk(image), strict=True):
        assert (maps.dtype, nearly.dtype, again.dtype) == (torch.float32, torch.bfloat16, torch.float32)
        assert torch.allclose(nearly.float(), maps, atol=0.02 * float(maps.abs().max()))


def test_an_external_trunk_s_maps_are_computed_once_per_picture(external_trunk, tmp_path, monkeypatch):
    images = torch.randint(0, 256, (3, 3, 32, 40), dtype=torch.uint8)
    plain = external_trunk(images)
    external_trunk.cache = tmp_path / "maps"
    external_trunk(images[:2])
    seen = []
    maps = external_trunk.maps
    monkeypatch.setattr(external_trunk, "maps", lambda x: seen.append(len(x)) or maps(x))
    kept = external_trunk(images[[2, 1, 0]])
    external_trunk(images[:, :, :, :24])  # another picture, though it begins with the same bytes
    assert seen == [1, 3]
    assert len(list(external_trunk.cache.iterdir())) == 6
    for before, after in zip(plain, kept, strict=True):
        assert torch.allclose(after, before[[2, 1, 0]], atol=2e-3)


def test_only_maps_that_never_change_can_be_kept(tmp_path):
    with pytest.raises(ConfigError, match="a SmallTrunk is trained"):
        keep_maps(MODELS.build(dict(type="SmallTrunk")), str(tmp_path))


@pytest.mark.parametrize(("fine", "tolerance"), [(False, 1.0), (True, 0.6)])
def test_roi_features_lie_where_the_picture_s_content_is(fine, tolerance):
    """A step edge in the frame shows in the RoI's cells at the same place, for any trunk with symmetric padding."""
    network = build("small")
    for module in network.trunk.modules():  # every convolution becomes an average of its inputs
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    images = torch.full((1, 3, 256, 256), 200.0)
    images[..., 160:] = 255.0
    boxes, rows = torch.tensor([[96.0, 96.0, 208.0, 208.0]]), torch.tensor([0])
    with torch.inference_mode():
        features = network.extract_features(images)
        roi = (
            network.fine_roi_features(features, boxes, rows)
            if fine
            else network.roi_features(features, boxes, rows)
        )
    profile = roi.mean((0, 1, 2))  # along x
    low, high = profile[0], profile[-1]
    share = (profile - low) / (high - low)
    # the mean position of the rise is the edge's
    weights = share.diff()
    centres = torch.arange(1, len(profile)) * (112 / len(profile)) + 96
    assert (weights * centres).sum().item() == pytest.approx(160, abs=tolerance)
