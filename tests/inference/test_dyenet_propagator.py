from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from dyenet.errors import ConfigError
from dyenet.inference.config import PropagationConfig
from dyenet.inference.dyenet_propagator import DyeNetPropagator, main_parts
from dyenet.inference.features import FeatureStore
from dyenet.models.competition import share_out
from dyenet.models.pixel_matching import PixelMatching
from dyenet.structures import ArrayVideo, MaskPatches, StartingPoint, Template

HEIGHT, WIDTH = 64, 96


class ConstantFlow:
    """Everything moves to the right by ``shift`` pixels a frame."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift, self.asked = shift, []

    def get(self, source, target):
        self.asked.append((source, target))
        flow = torch.zeros(2, HEIGHT, WIDTH)
        flow[0] = self.shift * (target - source)
        return flow


@pytest.fixture(scope="module")
def video() -> ArrayVideo:
    rng = np.random.default_rng(0)
    return ArrayVideo(rng.integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8))


def features_of(model, video) -> FeatureStore:
    return FeatureStore(model.network, video, memory_bytes=2**24, dtype=torch.float32)


def propagator(model, video, shift=0.0, **config) -> DyeNetPropagator:
    return DyeNetPropagator(
        model.network, features_of(model, video), ConstantFlow(shift), PropagationConfig(**config)
    )


def starting_point(object_id, frame, box, size) -> StartingPoint:
    return StartingPoint(object_id, frame, MaskPatches(torch.tensor([box]), torch.ones(1, size, size)))


def test_a_given_mask_matches_its_own_box_in_its_frame(tiny_model):
    """Each of two objects is a texture of its own in grey; of one object the nearest given mask is looked for."""
    rng = np.random.default_rng(1)
    frames = np.full((3, HEIGHT, WIDTH, 3), 128, np.uint8)
    frames[:, 16:40, 16:40] = rng.integers(0, 80, (24, 24, 3))
    frames[:, 24:56, 56:88] = rng.integers(176, 256, (32, 32, 3))
    net = propagator(tiny_model, ArrayVideo(frames))
    size, boxes = tiny_model.network.mask_size, [[16.0, 16.0, 40.0, 40.0], [56.0, 24.0, 88.0, 56.0]]
    net.meet([starting_point(1, 0, boxes[0], size), starting_point(1, 2, boxes[1], size)])
    assert net.matched_boxes(1, count=2) is net.matched_boxes(1, count=2)
    for frame, box in ((1, boxes[0]), (2, boxes[1])):
        assert box_iou(net.matched_boxes(frame, count=1), torch.tensor([box])).item() > 0.5
    net.meet([starting_point(1, 0, boxes[0], size), starting_point(2, 0, boxes[1], size)])
    found = net.matched_boxes(1, count=1)
    assert (box_iou(found, torch.tensor(boxes)).diagonal() > 0.5).all()


def test_a_step_looks_where_the_flow_says_in_a_box_enlarged_by_the_config(tiny_model, video):
    size = tiny_model.network.mask_size
    start = starting_point(1, 2, [20.0, 16.0, 60.0, 48.0], size)
    for ratio, margin in [(0.0, (0, 0)), (0.15, (6, 4.8))]:
        net = propagator(tiny_model, video, shift=10, box_enlargement=ratio)
        state = net.step(net.begin([start, start]).select([0, 1]), [3, 1])
        assert state.frames == [3, 1]
        for row, moved in enumerate([10, -10]):  # what frame 2 shows at x, frame 3 shows at x + 10
            x0, y0, x1, y1 = state.patches.boxes[row].tolist()
            assert (x0, x1) == pytest.approx((20 + moved - margin[0], 60 + moved + margin[0]), abs=2.5)
            assert (y0, y1) == pytest.approx((16 - margin[1], 48 + margin[1]), abs=2.5)
        assert state.patches.size == size
        assert state.memory.shape[0] == 2


def test_rows_that_are_too_small_or_leave_the_picture_come_back_with_probability_0(tiny_model, video):
    size = tiny_model.network.mask_size
    small, large = [10.0, 10.0, 17.0, 40.0], [40.0, 10.0, 80.0, 50.0]
    net = propagator(tiny_model, video)
    begun = net.begin([starting_point(1, 0, large, size), starting_point(2, 0, large, size)])
    sure = MaskPatches(torch.tensor([small, large]), torch.ones(2, size, size))  # the network is untrained
    begun = replace(begun, patches=sure)
    state = net.step(begun, [1, 1])
    assert state.patches.probabilities[0].max() == 0  # 7 pixels wide, and min_side is 8
    assert state.patches.probabilities[1].max() > 0
    gone = propagator(tiny_model, video, shift=100).step(begun, [1, 1])
    assert gone.patches.probabilities.max() == 0
    assert gone.object_ids == [1, 2]
    lenient = propagator(tiny_model, video, min_side=4)
    begun = lenient.begin([starting_point(1, 0, large, size), starting_point(2, 0, large, size)])
    begun = replace(begun, patches=sure)
    assert lenient.step(begun, [1, 1]).patches.probabilities[0].max() > 0


def test_what_is_thin_from_the_start_may_stay_so(tiny_model, video):
    size = tiny_model.network.mask_size
    net = propagator(tiny_model, video)
    begun = net.begin([starting_point(1, 0, [10.0, 10.0, 80.0, 16.0], size)])
    assert begun.least_side.tolist() == pytest.approx([3.0], abs=0.1)
    carried = MaskPatches(torch.tensor([[10.0, 10.0, 80.0, 16.0]]), torch.ones(1, size, size))
    assert net.step(replace(begun, patches=carried), [1]).patches.probabilities.max() > 0
    carried = MaskPatches(torch.tensor([[10.0, 10.0, 80.0, 12.0]]), torch.ones(1, size, size))
    assert net.step(replace(begun, patches=carried), [1]).patches.probabilities.max() == 0


def test_rivals_are_the_given_masks_of_the_other_objects(tiny_model, video):
    size = tiny_model.network.mask_size
    first = replace(starting_point(1, 0, [4.0, 4.0, 40.0, 40.0], size), given=True)
    second = replace(starting_point(2, 0, [30.0, 20.0, 80.0, 60.0], size), given=True)
    net = propagator(tiny_model, video)
    net.meet([first])
    alone = net.begin([first]).template
    assert alone.rivals is None
    net.meet([first, second])
    state = net.begin([first, second])
    assert torch.equal(state.template.cells[:1], alone.cells)
    other = PixelMatching.parts(state.template.cells[1:])
    assert torch.equal(state.template.rivals[0], other[0][:, other[0, -1] > 0])
    without = propagator(tiny_model, video, rivals=False)
    without.meet([first, second])
    assert without.begin([first, second]).template.rivals is None
    shifted = replace(
        second, patch=MaskPatches(torch.tensor([[10.0, 20.0, 80.0, 60.0]]), second.patch.probabilities)
    )
    net.meet([first, shifted])  # the user has given another mask
    assert not torch.equal(net.begin([first]).template.rivals, state.template.rivals[:1])


def test_of_several_given_masks_of_a_rival_the_nearest_in_time_counts(tiny_model, video):
    size = tiny_model.network.mask_size
    own = replace(starting_point(1, 2, [4.0, 4.0, 40.0, 40.0], size), given=True)
    far = replace(starting_point(2, 0, [10.0, 20.0, 80.0, 60.0], size), given=True)
    near = replace(starting_point(2, 3, [30.0, 20.0, 80.0, 60.0], size), given=True)
    net = propagator(tiny_model, video)
    net.meet([own, near])
    expected = net.begin([own]).template.rivals
    net.meet([far, own, near])
    assert torch.equal(net.begin([own]).template.rivals, expected)


def test_what_a_mask_shows_is_remembered_in_every_few_frames(tiny_model, video):
    size = tiny_model.network.mask_size
    start = starting_point(1, 1, [20.0, 16.0, 60.0, 48.0], size)
    net = propagator(tiny_model, video, recent_step=2)
    begun = net.begin([start, start])
    assert begun.template.recent is None
    second = net.step(begun, [2, 0])
    third = net.step(second, [3, 1])
    assert torch.equal(third.template.recent, second.template.recent)
    fourth = net.step(third.select([0]), [4])
    assert not torch.equal(fourth.template.recent, second.template.recent[:1])
    assert torch.equal(fourth.template.cells, begun.template.cells[:1])
    for row, (frame, target) in enumerate([(2, 3), (0, 1)]):  # of its row's own mask, in that frame
        alone = net.step(begun.select([row]), [frame])
        assert torch.allclose(alone.template.recent, second.template.recent[[row]], atol=1e-5)
        forgotten = net.step(replace(alone, template=begun.template[[row]]), [target])
        assert not torch.equal(forgotten.patches.probabilities, third.patches.probabilities[[row]])
    late = net.step(begun, [2, 1]).template.recent  # and only of the rows whose time it is
    assert late[0].abs().max() > 0
    assert late[1].abs().max() == 0
    with pytest.raises(ConfigError, match="recent_step"):
        PropagationConfig(recent_step=0)


def test_a_batch_over_frames_and_directions_is_what_its_rows_are_alone(tiny_model, video):
    size = tiny_model.network.mask_size
    starts = [
        starting_point(1, 1, [4.0, 4.0, 40.0, 40.0], size),
        starting_point(2, 1, [30.0, 20.0, 80.0, 60.0], size),
        starting_point(3, 3, [10.0, 10.0, 60.0, 60.0], size),
    ]
    net = propagator(tiny_model, video, shift=2)
    together = net.step(net.begin(starts).select([2, 0, 1, 0]), [2, 2, 0, 0])
    for row, (start, target) in enumerate([(2, 2), (0, 2), (1, 0), (0, 0)]):
        alone = net.step(net.begin([starts[start]]), [target])
        assert together.object_ids[row] == alone.object_ids[0]
        assert torch.allclose(together.patches.boxes[row], alone.patches.boxes[0])
        assert torch.allclose(
            together.patches.probabilities[row].float(), alone.patches.probabilities[0].float(), atol=2e-3
        )
        assert torch.allclose(together.memory[row], alone.memory[0], atol=1e-4)


class FarFlow(ConstantFlow):
    """Nothing moves, but an object that lies left of the middle by 30 pixels to the right."""

    def of_objects(self, source, target, patches, margin):
        assert margin == 0.1
        flow = torch.zeros(2, HEIGHT, WIDTH)
        flow[0] = -30
        return [flow if box[2] < WIDTH / 2 else None for box in patches.boxes]


def test_an_object_found_far_off_has_a_flow_of_its_own(tiny_model, video):
    size = tiny_model.network.mask_size
    still = starting_point(1, 0, [60.0, 10.0, 84.0, 40.0], size)
    far = starting_point(2, 0, [8.0, 10.0, 32.0, 40.0], size)
    config = PropagationConfig(displacement_margin=0.1, box_enlargement=0.0)
    net = DyeNetPropagator(tiny_model.network, features_of(tiny_model, video), FarFlow(), config)
    both = net.step(net.begin([still, far]), [1, 1])
    assert both.patches.boxes[:, 0].tolist() == pytest.approx([60, 38], abs=2.5)
    for row, alone in enumerate([still, far]):
        single = net.step(net.begin([alone]), [1])
        assert torch.allclose(single.patches.probabilities[0], both.patches.probabilities[row], atol=1e-4)
    without = propagator(tiny_model, video, box_enlargement=0.0)
    assert without.step(without.begin([far]), [1]).patches.boxes[0, 0].item() == pytest.approx(8, abs=2.5)


@pytest.mark.parametrize(("recurrent_mask", "right"), [("binary", 40), ("probability", 46)])
def test_the_next_box_is_of_the_mask_as_it_is_or_of_its_probabilities(
    tiny_model, video, recurrent_mask, right
):
    """Two halves of 1 and 0.4, centred at 30 and 50: between them 0.5 lies at 40 or at 46.7."""
    halves = MaskPatches(torch.tensor([[20.0, 16.0, 60.0, 48.0]]), torch.tensor([[[1.0, 0.4], [1.0, 0.4]]]))
    net = propagator(tiny_model, video, box_enlargement=0.0, recurrent_mask=recurrent_mask)
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    boxes, found = net._locate(halves, torch.tensor([1.0]), flow)
    assert found == [0]
    assert boxes[0, 2].item() == pytest.approx(right, abs=2)


def test_flow_is_asked_for_from_the_target_to_the_source(tiny_model, video):
    net = propagator(tiny_model, video)
    start = starting_point(1, 2, [20.0, 16.0, 60.0, 48.0], tiny_model.network.mask_size)
    net.step(net.begin([start]), [3])
    assert set(net._flow.asked) == {(3, 2)}


def test_the_photometric_error_is_that_to_the_frame_a_mask_comes_from(tiny_model, monkeypatch):
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    moved = np.roll(frame, 10, axis=1)  # 10 pixels to the right
    net = propagator(tiny_model, ArrayVideo(np.stack([frame, moved, frame])), shift=10)
    asked, pixels = [], tiny_model.network.pixels
    monkeypatch.setattr(tiny_model.network, "pixels", lambda *args: asked.append(args[3]) or pixels(*args))
    start = starting_point(1, 1, [20.0, 16.0, 60.0, 48.0], tiny_model.network.mask_size)
    net.step(net.begin([start, start]).select([0, 1]), [0, 2])
    back, forth = asked
    assert back.shape == (1, 1, HEIGHT, WIDTH)
    assert back[..., :80].max() < 1e-4  # the flow says where frame 1 comes from, and not where frame 2 does
    assert forth.mean() > 0.5


def test_recovered_masks_live_in_their_boxes(tiny_model, video):
    boxes = torch.tensor([[0.0, 0, 40, 40], [20, 20, 90, 60]])
    template = Template(1, 0, MaskPatches(boxes[:1], torch.ones(1, 4, 4)), torch.zeros(256))
    found = propagator(tiny_model, video).recover(1, boxes, [template, template])
    assert torch.equal(found.boxes, boxes)
    assert found.probabilities.shape == (2, tiny_model.network.mask_size, tiny_model.network.mask_size)
    assert 0 < found.probabilities.min() <= found.probabilities.max() < 1


def test_recovered_masks_are_of_the_template_s_object(tiny_model, video):
    """Both halves of a box are templates; its own mask network sees no difference, pixel matching does."""
    box = torch.tensor([[16.0, 8, 72, 56]])
    left = torch.zeros(1, 28, 28)
    left[..., :14] = 1
    halves = [Template(1, 1, MaskPatches(box, half), torch.zeros(256)) for half in (left, 1 - left)]
    found = propagator(tiny_model, video).recover(1, box.expand(2, -1), halves).probabilities.float()
    half = found.shape[-1] // 2
    difference = found[0] - found[1]
    assert difference[:, : half - 2].mean() > 0.2
    assert difference[:, half + 2 :].mean() < -0.2


def test_a_retrieved_mask_is_compared_with_the_given_one(tiny_model, video):
    size = tiny_model.network.mask_size
    given = starting_point(1, 0, [4.0, 4.0, 40.0, 40.0], size)
    template = Template(1, 0, given.patch, torch.zeros(256))
    retrieved = replace(starting_point(1, 3, [30.0, 20.0, 80.0, 60.0], size), template=template)
    net = propagator(tiny_model, video)
    begun = net.begin([given, retrieved])
    assert torch.equal(begun.template.cells[0], begun.template.cells[1])
    assert torch.equal(begun.select([1]).template.cells, begun.template.cells[1:])
    assert not torch.equal(
        net.begin([replace(retrieved, template=None)]).template.cells, begun.template.cells[1:]
    )
    assert torch.equal(net.step(begun, [1, 4]).template.cells, begun.template.cells)


def test_small_parts_of_a_mask_are_dropped():
    """Parts of 10, 3 and 2 cells, one cell of the first touching the others of it by a corner; faint cells stay."""
    mask = torch.full((2, 8, 8), 0.4)
    mask[0, :3, :3] = 0.9
    mask[0, 3, 3] = 0.9
    mask[0, 6, :3] = 0.8
    mask[0, 6:, 7] = 0.8
    without_the_third = torch.ones(2, 8, 8)
    without_the_third[0, 6:, 7] = 0
    assert torch.equal(main_parts(mask, 0.3), without_the_third)
    assert main_parts(mask, 0.1).all()
    warped = torch.zeros(2, 8, 8)
    warped[0, 6, 1:3] = 1  # two of the second's three cells
    assert torch.equal(main_parts(mask, 0.0, 0.5, warped), without_the_third)
    without_the_second = torch.ones(2, 8, 8)
    without_the_second[0, 6, :3] = 0
    warped[0, 6, 1] = 0
    warped[0, 6, 7] = 1  # one of three, and one of two
    assert torch.equal(main_parts(mask, 0.0, 0.5, warped), without_the_second)


def test_parts_are_dropped_from_what_is_carried_on(tiny_model, video):
    size = tiny_model.network.mask_size
    start = starting_point(1, 2, [20.0, 16.0, 60.0, 48.0], size)
    whole, rid = propagator(tiny_model, video), propagator(tiny_model, video, min_component_ratio=1.0)
    one, other = (net.step(net.begin([start]), [3]) for net in (whole, rid))
    kept = main_parts(one.patches.probabilities.float(), 1.0)
    assert not kept.all()
    assert torch.equal(other.patches.probabilities.float(), one.patches.probabilities.float() * kept)
    assert torch.equal(other.memory[:, :-1], one.memory[:, :-1])
    pooled = torch.nn.functional.avg_pool2d(kept[:, None], 4)
    assert torch.allclose(other.memory[:, -1:], one.memory[:, -1:] * pooled)


def test_masks_of_two_objects_that_reach_a_frame_together_share_it_out(tiny_model, video):
    """As ``share_out`` says, in what is handed out and in what is carried on; each alone is as it was."""
    size = tiny_model.network.mask_size
    starts = [
        starting_point(1, 2, [20.0, 16.0, 60.0, 48.0], size),
        starting_point(2, 2, [30.0, 8.0, 70.0, 40.0], size),
    ]
    apart, together = (propagator(tiny_model, video, competition=on) for on in (False, True))
    one, other = (net.step(net.begin(starts), [3, 3]) for net in (apart, together))
    exact = MaskPatches(one.patches.boxes, one.patches.probabilities.float())
    left = share_out(exact, [3, 3], [1, 2])
    assert (left < 1).any()
    assert torch.allclose(other.patches.probabilities.float(), exact.probabilities * left, atol=2e-3)
    assert torch.equal(other.memory[:, :-1], one.memory[:, :-1])
    pooled = torch.nn.functional.avg_pool2d(left[:, None], 4)
    assert torch.allclose(other.memory[:, -1:], one.memory[:, -1:] * pooled, atol=2e-2)
    alone = together.step(together.begin(starts), [3, 1])
    assert torch.equal(alone.patches.probabilities[0], one.patches.probabilities[0])
