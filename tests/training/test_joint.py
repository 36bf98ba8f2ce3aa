"""The joint loss: what gets a gradient, gradients through time, its parts by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_training import build_stage, draw_clips

from dyenet.errors import ConfigError
from dyenet.models.competition import share_out
from dyenet.models.pixel_matching import PixelMatching
from dyenet.structures import Clip, MaskPatches, enlarge_boxes
from dyenet.training.batch import ClipBatch
from dyenet.training.joint import JointTraining
from dyenet.training.recurrence import deform_masks, mask_losses, unroll


def empty_clip() -> Clip:
    clip = draw_clips(1)[0]
    return Clip(clip.frames, torch.zeros_like(clip.masks), clip.flow, [], clip.sources)


def total(stage, clips) -> torch.Tensor:
    return stage.parse_losses(stage(clips))[0]


def test_every_parameter_gets_a_gradient_that_is_not_zero():
    stage = build_stage().train()
    clips = draw_clips(2)
    with torch.no_grad():  # the finer output begins with weights of 0, which stop gradients in the first step
        for parameter in stage.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    total(stage, clips)
    stage.after_step()  # the table has been filled: from now on L_reid has targets
    total(stage, clips).backward()
    silent = [n for n, p in stage.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_every_parameter_gets_a_finite_gradient_from_clips_without_objects():
    stage = build_stage().train()
    losses = stage([empty_clip(), empty_clip()])
    stage.parse_losses(losses)[0].backward()
    missing = [n for n, p in stage.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []
    assert [float(losses[k].detach()) for k in ("loss_reid", "loss_mask", "loss_remp")] == [0, 0, 0]


def test_gradients_of_the_recurrence_reach_the_trunk_through_time():
    stage = build_stage(["model.recurrence.box_source='truth'"]).train()
    batch = ClipBatch.collate(draw_clips(1))
    features = stage.network.extract_features(batch.images)
    coarse = features.coarse.detach().requires_grad_()
    leaf = features.of([coarse, *features.parts()[1:]])
    stage.remp_loss(batch, leaf, stage.begin(batch, leaf)).backward()
    # no mask is predicted in frame 0: its features count only through the hidden state of the frames after it
    per_frame = coarse.grad.abs().sum((1, 2, 3))
    assert per_frame.shape == (3,)
    assert (per_frame > 0).all()


def test_hidden_state_of_frame_0_matters_only_to_what_comes_after():
    """With the truth of frames 1 and 2 void, nothing of the recurrence is left and no gradient arrives."""
    stage = build_stage().train()
    clip = draw_clips(1)[0]
    clip.masks[1:] = 255
    batch = ClipBatch.collate([clip])
    features = stage.network.extract_features(batch.images)
    coarse = features.coarse.detach().requires_grad_()
    leaf = features.of([coarse, *features.parts()[1:]])
    loss = stage.remp_loss(batch, leaf, stage.begin(batch, leaf))
    loss.backward()
    assert loss.item() == 0
    assert not coarse.grad.any()


def test_the_recurrence_compares_every_frame_with_the_one_before_it(monkeypatch):
    stage = build_stage().train()
    clips = draw_clips(2)
    batch = replace(ClipBatch.collate(clips), flow=torch.zeros_like(ClipBatch.collate(clips).flow))
    asked, pixels = [], stage.network.pixels
    monkeypatch.setattr(stage.network, "pixels", lambda *args: asked.append(args[3]) or pixels(*args))
    features = stage.network.extract_features(batch.images)
    list(unroll(stage.network, stage.recurrence, batch, features, stage.begin(batch, features)))
    for clip, errors in zip(clips, asked[-1].unflatten(0, (2, -1)), strict=True):
        changes = clip.frames.float().diff(dim=0).abs().mean(dim=1) / 64
        assert not errors[0].any()
        assert torch.allclose(errors[1:, 0], changes, atol=1e-4)


def test_the_mask_loss_hears_pixel_matching_of_the_objects_that_have_a_template():
    stage = build_stage(["model.rois.proposals=False"]).train()
    batch = ClipBatch.collate(draw_clips(2))
    features = stage.network.extract_features(batch.images)
    state = stage.begin(batch, features)
    objects, frames, boxes = stage.sample_rois(batch, features)
    roi = stage.network.roi_features(features, boxes, batch.frame_rows(objects, frames))
    assert len(state.objects) > 1
    alone = stage.network.segment(roi)
    one = replace(state, objects=state.objects[1:2], template=state.template[1:2])
    found, hears = stage._segment(roi, objects, one), objects == state.objects[1]
    assert 0 < hears.sum() < len(hears)
    assert torch.equal(found[~hears], alone[~hears])
    template = state.template[[1] * int(hears.sum())]
    expected = alone[hears] + stage.network.match(roi[hears], template)
    assert torch.allclose(found[hears], expected, atol=1e-5)
    stage.reid_and_mask_losses(batch, features, state)["loss_mask"].backward()
    assert stage.network.pixel_matching.key.weight.grad.any()
    assert torch.equal(stage._segment(roi[~hears], objects[~hears], one), alone[~hears])  # it shows nowhere


def test_without_rpn_weight_the_rpn_is_not_trained():
    stage = build_stage(["model.rpn_weight=0.0", "model.rois.proposals=False"]).train()
    losses = stage(draw_clips(1))
    stage.parse_losses(losses)[0].backward()
    assert not any("rpn" in name for name in losses)
    assert all(p.grad is None for p in stage.network.rpn.parameters())


def test_loss_weight_scales_the_two_mask_losses_alone():
    clips = draw_clips(1)
    one, three = (build_stage([f"model.loss_weight={w}"]).train()(clips) for w in (1.0, 3.0))
    for name in ("loss_mask", "loss_remp"):
        assert float(three[name].detach()) == pytest.approx(3 * float(one[name].detach()), rel=1e-5)
    assert float(three["loss_box_rpn"].detach()) == pytest.approx(
        float(one["loss_box_rpn"].detach()), rel=0.5
    )


def test_random_boxes_depend_on_the_clip_alone():
    """A clip gives the same RoIs alone and behind another clip: one process or many makes no difference."""
    stage = build_stage(["model.rois.proposals=False"]).train()
    first, second = draw_clips(2)
    together, alone = ClipBatch.collate([first, second]), ClipBatch.collate([second])
    with torch.no_grad():
        objects, _, boxes = stage.sample_rois(together, stage.network.extract_features(together.images))
        _, _, own = stage.sample_rois(alone, stage.network.extract_features(alone.images))
    assert len(own) > 0
    assert torch.equal(boxes[together.clip[objects] == 1], own)


def test_mask_loss_by_hand():
    logits = torch.zeros(1, 2, 2)
    target = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    valid = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    bce = mask_losses(logits, target, valid, 0.0)
    assert bce.tolist() == pytest.approx([math.log(2)])
    # soft Dice: inside 3 * 0.5 = 1.5, both 2 * 0.5 = 1, true 2, smooth 0.02 * 4 = 0.08
    dice = 1 - (2 * 1 + 0.08) / (1.5 + 2 + 0.08)
    assert mask_losses(logits, target, valid, 2.0).tolist() == pytest.approx([math.log(2) + 2 * dice])


def test_a_perfect_mask_loses_nothing():
    target = torch.zeros(1, 8, 8)
    target[:, 2:5, 2:5] = 1
    loss = mask_losses(100 * (2 * target - 1), target, torch.ones_like(target), 0.5)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_deformed_masks_are_one_or_two_cells_smaller_larger_or_the_same():
    mask = torch.zeros(1, 22, 22)
    mask[:, 6:16, 6:16] = 1
    sizes = {
        int(deform_masks(mask, [0], [torch.Generator().manual_seed(seed)], cells=2).sum())
        for seed in range(300)
    }
    assert sizes == {36, 64, 100, 144, 196}


def test_a_soft_target_is_the_share_of_a_cell():
    batch = ClipBatch.collate(draw_clips(1))
    masks = torch.zeros_like(batch.masks)
    masks[:, :, :8, :6] = 1
    batch = replace(batch, masks=masks)
    place = torch.tensor([0]), torch.tensor([0]), torch.tensor([[0.0, 0.0, 16.0, 16.0]]), 4
    soft, valid = batch.targets(*place, soft=True)
    assert soft[0].flatten().tolist() == pytest.approx([1, 0.5, 0, 0] * 2 + [0] * 8)
    hard, same = batch.targets(*place)
    assert hard[0].flatten().tolist() == [1, 1, 0, 0] * 2 + [0] * 8
    assert torch.equal(valid, same)


def test_erosion_does_not_empty_a_mask():
    mask = torch.zeros(1, 9, 9)
    mask[:, 4, 4] = 1
    areas = [
        int(deform_masks(mask, [0], [torch.Generator().manual_seed(s)], cells=2).sum()) for s in range(20)
    ]
    assert min(areas) == 1


def test_the_rivals_of_an_object_are_the_other_objects_of_its_clip():
    stage = build_stage().train()
    batch = ClipBatch.collate(draw_clips(2))
    alone = torch.nonzero(batch.clip == 1)[1:, 0].tolist()  # what clip 1 shows but its first object
    batch.areas[alone] = 0
    state = stage.begin(batch, stage.network.extract_features(batch.images))
    owners = batch.clip[state.objects].tolist()
    assert owners.count(0) > 2
    assert owners.count(1) == 1
    shown = [PixelMatching.parts(state.template.cells[[k]]) for k in range(len(owners))]
    for row, owner in enumerate(owners):
        others = [p for k, p in enumerate(shown) if owners[k] == owner and k != row]
        expected = torch.cat([p[:, :, p[0, -1] > 0] for p in others] or [shown[row][..., :0]], dim=2)
        found = state.template.rivals[[row]]
        torch.testing.assert_close(found[..., : expected.shape[2]], expected)
        assert not found[:, -1, expected.shape[2] :].any()  # what only fills up


def rolling(rollout: int, **recurrence) -> JointTraining:
    stage = build_stage().train()
    stage.recurrence = replace(stage.recurrence, rollout=rollout, **recurrence)
    return stage


def test_a_rollout_arrives_where_the_whole_recurrence_passes():
    stage = rolling(2, deform_start=False, jitter=0.0)  # draws no random numbers
    batch = ClipBatch.collate(draw_clips(1, num_frames=5))
    features = stage.network.extract_features(batch.images)
    whole = unroll(stage.network, stage.recurrence, batch, features, stage.begin(batch, features))
    passed = [stage.begin(batch, features), *(state for state, _ in whole)]
    seen = set()
    for seed in range(12):
        batch.generators[0].manual_seed(seed)
        rest, state = stage.rollout(batch)
        assert rest.num_frames == 3
        steps = next(k for k in range(3) if torch.equal(rest.masks, batch.masks[:, k : k + 3]))
        seen.add(steps)
        assert (state is None) == (steps == 0)
        if state is not None:
            torch.testing.assert_close(state.hidden, passed[steps].hidden.detach())
            torch.testing.assert_close(state.masks, passed[steps].masks.detach())
            assert not state.hidden.requires_grad
    assert seen == {0, 1, 2}


def test_the_objects_of_a_clip_compete_and_those_of_others_do_not():
    """After one step the masks are shared out; the loss is of what each of them was before."""
    stage = rolling(0, deform_start=False, jitter=0.0)
    batch = ClipBatch.collate(draw_clips(2))
    features = stage.network.extract_features(batch.images)
    begun = stage.begin(batch, features)
    owners, objects = batch.clip[begun.objects].tolist(), begun.objects.tolist()
    assert len(objects) > len(set(owners)) > 1
    (free, loss), (shared, other) = (
        next(unroll(stage.network, replace(stage.recurrence, competition=on), batch, features, begun))
        for on in (False, True)
    )
    left = share_out(MaskPatches(free.boxes, free.masks.detach()), owners, objects)
    assert (left < 1).any()
    torch.testing.assert_close(shared.masks, free.masks * left)
    torch.testing.assert_close(shared.hidden, stage.network.keep_share(free.hidden, left))
    assert not torch.equal(shared.hidden[:, -1], free.hidden[:, -1])
    torch.testing.assert_close(other, loss)


def test_with_a_rollout_every_parameter_still_learns():
    stage = rolling(1)
    losses = stage(draw_clips(2))
    stage.parse_losses(losses)[0].backward()
    assert float(losses["loss_remp"].detach()) > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in stage.parameters())


def test_found_starts_have_masks_found_in_boxes_and_the_templates_of_the_first_frame(monkeypatch):
    stage = rolling(2, deform_start=False, jitter=0.0, found_starts=1.0, found_jitter=0.0)
    size = stage.network.patch_size
    left = torch.where(torch.arange(size) < size // 2, 9.0, -9.0).expand(size, size)
    monkeypatch.setattr(stage.network, "segment", lambda roi, matched=None: left.expand(len(roi), -1, -1))
    batch = ClipBatch.collate(draw_clips(1, num_frames=5))
    first = batch.window(0, 1)
    known = stage.begin(first, stage.network.extract_features(first.images))
    batch.generators[0].manual_seed(1)  # draws a start behind the first frame
    rest, state = stage.rollout(batch)
    assert state is not None
    assert not torch.equal(rest.masks[:, 0], batch.masks[:, 0])
    half = rest.boxes[state.objects, 0].clone()
    half[:, 2] = (half[:, 0] + half[:, 2]) / 2
    expected = enlarge_boxes(half, stage.recurrence.enlargement, batch.image_size)
    torch.testing.assert_close(state.boxes, expected, atol=1.5, rtol=0)  # half a cell
    torch.testing.assert_close(state.template.cells, known.template.cells.detach())


def test_with_a_template_frame_the_recurrence_begins_behind_it_with_its_templates():
    stage = rolling(1, deform_start=False, jitter=0.0, template_frame=True)
    batch = ClipBatch.collate(draw_clips(1, num_frames=5))
    batch.flow[:, 0] = float("nan")  # from a distant frame: nobody may look at it
    known = stage.known(batch)
    way = batch.window(1, 5)
    features = stage.network.extract_features(way.images)
    begun = replace(stage.begin(way, features), template=known.template)
    passed = [
        begun,
        next(state for state, _ in unroll(stage.network, stage.recurrence, way, features, begun)),
    ]
    seen = set()
    for seed in range(8):
        batch.generators[0].manual_seed(seed)
        rest, state = stage.rollout(batch)
        assert rest.num_frames == 3
        steps = next(k for k in range(2) if torch.equal(rest.masks, batch.masks[:, 1 + k : 4 + k]))
        seen.add(steps)
        torch.testing.assert_close(state.masks, passed[steps].masks.detach())
        torch.testing.assert_close(state.hidden, passed[steps].hidden.detach())
        torch.testing.assert_close(state.template.cells, known.template.cells.detach())
    assert seen == {0, 1}
    assert stage(draw_clips(1, num_frames=5))["loss_remp"] > 0


def test_clips_that_come_round_for_their_maps_begin_elsewhere_each_time(monkeypatch):
    stage = rolling(2)
    clips, begun = draw_clips(1, num_frames=5), []
    rollout = stage.rollout
    monkeypatch.setattr(
        stage, "rollout", lambda batch: (begun.append(batch.generators[0].initial_seed()), rollout(batch))[1]
    )
    for comes_round in (False, True):
        stage.comes_round = comes_round
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            stage(clips)
    assert begun[0] == begun[1] == begun[2]
    assert begun[3] != begun[4]
    assert begun[3] == begun[5]


def test_objects_that_the_template_frame_does_not_show_are_left_out():
    stage = rolling(0, deform_start=False, jitter=0.0, template_frame=True)
    batch = ClipBatch.collate(draw_clips(1, num_frames=4))
    assert len(batch.identities) > 1
    areas = batch.areas.clone()
    areas[0, 0] = 0  # the first object shows later alone
    batch = replace(batch, areas=areas)
    state = stage.rollout(batch)[1]
    expected = [k for k in range(1, len(areas)) if areas[k, 0] >= 32 and areas[k, 1] >= 32]
    assert state.objects.tolist() == expected
    torch.testing.assert_close(state.template.cells, stage.known(batch).template.cells.detach())
    nothing = replace(batch, areas=areas.index_fill(1, torch.tensor([0]), 0))
    assert not len(stage.rollout(nothing)[1].objects)


def test_objects_that_do_not_show_are_not_found():
    stage = rolling(2, found_starts=1.0)
    batch = ClipBatch.collate(draw_clips(1, num_frames=5))
    gone = replace(batch, areas=torch.where(torch.arange(5) > 0, 0.0, batch.areas))
    gone.generators[0].manual_seed(1)
    assert stage.rollout(gone)[1] is None


def test_a_rollout_as_long_as_the_clip_is_refused():
    with pytest.raises(ConfigError, match="rollout=2 leaves no step"):
        rolling(2)(draw_clips(1, num_frames=3))
    with pytest.raises(ConfigError, match="of which the first is the templates'"):
        rolling(1, template_frame=True)(draw_clips(1, num_frames=3))
