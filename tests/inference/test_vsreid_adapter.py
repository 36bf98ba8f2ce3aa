"""VS-ReID's and MSK's networks behind the protocols: what they are shown, and where it is put."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from dyenet.config import build, load_config
from dyenet.inference.config import InferenceConfig
from dyenet.inference.loading import Model
from dyenet.inference.msk import MSKPropagator
from dyenet.inference.session import VideoSession
from dyenet.inference.vsreid import NoRetriever, VSReIDPropagator, VSReIDRetriever
from dyenet.inference.vsreid_config import VSReIDConfig
from dyenet.models.proposals import Proposals
from dyenet.registry import MODELS
from dyenet.structures import ArrayVideo, MaskPatches, StartingPoint, Template

HEIGHT, WIDTH, FRAMES = 48, 64, 4
SIZE = 32


class ConstantFlow:
    """Everything moves to the right by ``shift`` pixels a frame."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift, self.asked = shift, []

    def get(self, source, target):
        self.asked.append((source, target))
        flow = torch.zeros(2, HEIGHT, WIDTH)
        flow[0] = self.shift * (target - source)
        return flow


class Echo(nn.Module):
    """In place of N_mp: gives the guide back, and remembers what it was shown."""

    patch_size = 33
    streams = ("rgb", "flow")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.seen: list[tuple] = []

    def forward(self, images, flow, guides, streams=None):
        self.seen.append((images, flow, guides, streams))
        return guides


@pytest.fixture
def video() -> ArrayVideo:
    rng = np.random.default_rng(0)
    return ArrayVideo(rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8))


def propagator(video, shift=0.0, **config):
    network, flow = Echo(), ConstantFlow(shift)
    return VSReIDPropagator(network, video, flow, VSReIDConfig(mask_size=SIZE, **config)), network, flow


def point(box, frame=0, object_id=1, probability=1.0) -> StartingPoint:
    patch = MaskPatches(torch.tensor([box]), torch.full((1, SIZE, SIZE), probability))
    return StartingPoint(object_id, frame, patch)


def template(box, frame=0) -> Template:
    return Template(1, frame, point(box).patch, torch.ones(1))


def test_a_mask_follows_the_flow_and_its_box_is_enlarged(video):
    carrier, network, flow = propagator(video, shift=4.0)
    state = carrier.step(carrier.begin([point([8.0, 8, 24, 24])]), [1])
    assert flow.asked[0] == (1, 0)  # F_{target -> source}
    assert state.frames == [1]
    # Box(P > 0.5) is (12, 8, 28, 24); 0.15 of 16 pixels is 2.4
    assert state.patches.boxes[0].tolist() == pytest.approx([9.6, 5.6, 30.4, 26.4])
    assert state.patches.tight_boxes()[0].tolist() == pytest.approx([12, 8, 28, 24], abs=0.7)
    assert network.seen[0][3] == ("rgb", "flow")


def test_the_enlarged_box_ends_at_the_frame(video):
    carrier, _, _ = propagator(video, box_enlargement=0.5)
    state = carrier.step(carrier.begin([point([0.0, 0, 16, 48])]), [1])
    assert state.patches.boxes[0].tolist() == [0, 0, 24, 48]


def test_the_network_sees_the_target_frame_and_the_raw_flow_in_the_box(video):
    carrier, network, _ = propagator(video, shift=4.0, box_enlargement=0.0)
    carrier.step(carrier.begin([point([8.0, 8, 41, 41])]), [1])
    images, flow, guides, _ = network.seen[0]
    # the box is (12, 8, 45, 41), 33 x 33 pixels: the patch is the pixels themselves
    assert torch.allclose(
        images[0], torch.from_numpy(video[1][8:41, 12:45]).permute(2, 0, 1).float(), atol=1e-2
    )
    assert flow[0, 0].unique().tolist() == [-4.0]  # to where it came from, not rescaled
    assert guides.shape == (1, 33, 33)


def test_mirrored_patches_have_u_negated_and_come_back_the_right_way_round(video):
    plain, _, _ = propagator(video, shift=4.0)
    both, network, _ = propagator(video, shift=4.0, flip=True)
    start = [point([8.0, 8, 24, 30])]
    expected = plain.step(plain.begin(start), [1])
    state = both.step(both.begin(start), [1])
    (images, flow, guides, _), (mirrored, mirrored_flow, mirrored_guides, _) = network.seen
    assert torch.equal(mirrored, images.flip(-1))
    assert torch.equal(mirrored_flow[:, 0], -flow[:, 0].flip(-1))
    assert torch.equal(mirrored_flow[:, 1], flow[:, 1].flip(-1))
    assert torch.equal(mirrored_guides, guides.flip(-1))
    assert torch.equal(state.patches.probabilities, expected.patches.probabilities)


def test_scales_are_rounded_to_8k_plus_1_and_averaged(video):
    carrier, network, _ = propagator(video, scales=[0.75, 1.0, 1.25])
    answers = iter((0.3, 0.6, 0.9))
    network.forward = lambda images, flow, guides, streams: (
        network.seen.append(guides.shape[-1]) or torch.full_like(guides, next(answers))
    )
    state = carrier.step(carrier.begin([point([8.0, 8, 24, 24])]), [1])
    assert network.seen == [25, 33, 41]
    assert state.patches.probabilities.float().mean().item() == pytest.approx(0.6, abs=1e-3)


def test_one_stream_alone_is_asked_by_config(video):
    carrier, network, _ = propagator(video, streams="rgb")
    carrier.step(carrier.begin([point([8.0, 8, 24, 24])]), [1])
    assert network.seen[0][3] == ("rgb",)


def test_rows_of_several_frames_and_lost_rows(video):
    carrier, network, _ = propagator(video, shift=4.0)
    starts = [
        point([8.0, 8, 24, 24], 0, 1),
        point([8.0, 8, 24, 24], 2, 2),
        point([52.0, 8, 60, 24], 2, 3, probability=0.0),
        point([8.0, 8, 24, 24], 2, 4),
    ]
    state = carrier.step(carrier.begin(starts), [1, 1, 1, 3])
    lefts = [round(b[0], 1) for b in state.patches.tight_boxes().tolist()]
    assert lefts == pytest.approx([12, 4, 0, 12], abs=0.7)  # 2 goes backward, 3 was empty
    assert not state.patches.probabilities[2].any()
    assert state.object_ids == [1, 2, 3, 4]
    assert len(network.seen) == 3


def test_the_batch_bounds_how_many_patches_run_at_once(video):
    starts = [point([8.0 + k, 8, 24, 24], 0, k + 1) for k in range(5)]
    one, network, _ = propagator(video, batch=2)
    all_at_once, _, _ = propagator(video, batch=5)
    a, b = one.step(one.begin(starts), [1] * 5), all_at_once.step(all_at_once.begin(starts), [1] * 5)
    assert [len(images) for images, *_ in network.seen] == [2, 2, 1]
    assert torch.equal(a.patches.probabilities, b.patches.probabilities)
    assert one.patches_run == 5


def test_the_released_warp_normalises_over_the_objects(video):
    """Two objects in one place: 0.8 wins over 0.6, whose box is then empty."""
    starts = [point([8.0, 8, 24, 24], 0, 1, 0.8), point([8.0, 8, 24, 24], 0, 2, 0.6)]
    carrier, network, _ = propagator(video, warp="fb_average")
    state = carrier.step(carrier.begin(starts), [1, 1])
    assert state.patches.boxes[1].tolist() == [0, 0, 0, 0]
    total = 0.2 * 0.4 + 0.8 + 0.6
    assert network.seen[0][2].max().item() == pytest.approx(0.8 / total, abs=1e-3)


def test_recovery_puts_the_template_s_mask_into_the_box(video):
    carrier, network, flow = propagator(video, shift=4.0)
    patch = MaskPatches(torch.tensor([[0.0, 0, 32, 32]]), torch.zeros(1, SIZE, SIZE))
    patch.probabilities[0, 8:24, 8:16] = 1  # 16 x 8 pixels, of which the lower half is fainter
    patch.probabilities[0, 16:24, 8:16] = 0.75
    boxes = torch.tensor([[30.0, 10, 50, 30]])
    found = carrier.recover(1, boxes, [Template(1, 0, patch, torch.ones(1))])
    assert torch.equal(found.boxes, boxes)
    assert flow.asked == [(1, 2)]  # F(I_i, I_{i+1})
    guide = network.seen[0][2][0]
    assert guide[4, 16].item() == pytest.approx(1)
    assert guide[28, 16].item() == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("frame", "reading", "pair"),
    [(1, "next", (1, 2)), (3, "next", (3, 2)), (1, "previous", (1, 0)), (0, "previous", (0, 1))],
)
def test_the_flow_at_recovery(video, frame, reading, pair):
    carrier, _, flow = propagator(video, recovery_flow=reading)
    carrier.recover(frame, torch.tensor([[8.0, 8, 24, 24]]), [template([0.0, 0, 8, 8], frame=2)])
    assert flow.asked == [pair]


def test_a_mask_of_that_frame_stays_where_it_is_at_recovery(video):
    carrier, network, _ = propagator(video)
    carrier.recover(1, torch.tensor([[0.0, 0, 33, 33]]), [template([16.0, 0, 33, 33], frame=1)])
    guide = network.seen[0][2][0]
    assert guide[:, :15].max() == 0
    assert guide[2:-2, 19:-2].min() > 0.999


def test_a_video_of_one_frame_has_no_flow(video):
    carrier, network, flow = propagator(ArrayVideo([video[0]]))
    carrier.recover(0, torch.tensor([[8.0, 8, 24, 24]]), [template([8.0, 8, 24, 24])])
    assert flow.asked == []
    assert not network.seen[0][1].any()


class Stub(nn.Module):
    """In place of a network: calls a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.calls = 0

    def forward(self, *args, **kwargs):
        self.calls += 1
        return self.function(*args, **kwargs)


def retriever(video, people=None):
    network = nn.Module()
    network.propagation = Echo()
    boxes = torch.tensor([[0.0, 0, 16, 16], [16, 16, 40, 40]])
    network.detector = Stub(lambda images, max_proposals: [Proposals(boxes, torch.tensor([0.9, 0.5]))])
    network.detector.person_probabilities = lambda image, boxes: (boxes[:, 0] >= 16).float()
    network.identification = Stub(lambda images, boxes, rows: torch.tensor([[1.0, 0]]).expand(len(boxes), -1))
    network.person_identification = people
    return VSReIDRetriever(network, video, VSReIDConfig()), network


def test_candidates_of_a_frame_are_computed_once(video):
    finder, network = retriever(video)
    first, second = finder.candidates(2), finder.candidates(2)
    assert first is second
    assert network.detector.calls == 1
    assert first.objectness.tolist() == pytest.approx([0.9, 0.5])
    assert first.embeddings.shape == (2, 2)


def test_people_are_compared_by_their_own_net(video):
    people = Stub(lambda images, boxes, rows: torch.tensor([[0.0, 1]]).expand(len(boxes), -1))
    finder, _ = retriever(video, people)
    embeddings = finder.candidates(0).embeddings
    # the first box is no person, the second is one: each has its own net's embedding, and they do not compare
    assert embeddings.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert (embeddings[0] @ embeddings[1]).item() == 0
    assert finder.embed(0, torch.tensor([[20.0, 0, 30, 10]])).tolist() == [[0, 0, 0, 1]]


def test_msk_keeps_the_mask_where_it_was_and_cuts_its_box(video):
    network = nn.Module()
    seen = []
    network.mean = torch.zeros(1)
    network.forward = lambda images, masks: seen.append((images.shape, masks)) or masks
    carrier = MSKPropagator(network, video, VSReIDConfig(mask_size=SIZE))
    starts = [point([8.0, 8, 24, 24]), point([0.0, 0, 8, 8], 0, 2, probability=0.0)]
    state = carrier.step(carrier.begin(starts), [1, 1])
    assert len(seen) == 1
    assert seen[0][0] == (1, 3, HEIGHT, WIDTH)
    assert seen[0][1].sum() == 16 * 16
    assert state.patches.boxes[0].tolist() == pytest.approx([5.6, 5.6, 26.4, 26.4])
    assert not state.patches.probabilities[1].any()
    found = carrier.recover(2, torch.tensor([[30.0, 10, 50, 30]]), [template([0.0, 0, 8, 8])])
    assert seen[1][1].sum() == 20 * 20
    assert (found.probabilities >= 0.5).all()


def model(name: str, **inference) -> Model:
    torch.manual_seed(0)
    block = load_config(f"_base_/models/{name}.py").model.to_dict()
    network = MODELS.build(block).eval().requires_grad_(False)
    config = build(InferenceConfig, {"vsreid": {"mask_size": SIZE}, **inference})
    cpu = torch.device("cpu")
    return Model(name, network, Config(), config, cpu, torch.float32, {"file": None})


@pytest.mark.parametrize("name", ["vsreid_tiny", "msk_small"])
@pytest.mark.parametrize("schedule", ["checkpointed", "iterative"])
def test_both_networks_run_under_both_schedules(video, name, schedule):
    given = np.zeros((HEIGHT, WIDTH), np.uint8)
    given[8:24, 8:24], given[24:40, 30:50] = 1, 2
    rounds = dict(checkpointed={"max_rounds": 1}, iterative={"max_rounds": 1})
    with VideoSession(model(name, schedule=schedule, **rounds), video) as session:
        session.add_masks(0, given)
        result = session.run()
    assert set(result.tubes) == {1, 2}
    assert 0 in result.tubes[1].patches
    assert result.report["trunk_runs"] >= 1
    if name == "msk_small":
        assert all(len(r.get("starting_points", [])) == 0 for r in result.report["rounds"])


def test_without_a_retriever_nothing_is_found():
    finder = NoRetriever()
    assert len(finder.candidates(3)) == 0
    assert finder.embed(0, torch.zeros(2, 4)).norm(dim=1).tolist() == [1, 1]
