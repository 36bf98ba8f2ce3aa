"""Algorithm 3 on a propagator that carries a mask unchanged, so that a mask's box says where it came from.

Frames count from 0; the paper's from 1.
"""

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from dyenet.config import apply_overrides, build
from dyenet.errors import ConfigError
from dyenet.inference.checkpointed import CheckpointedResult, run_checkpointed
from dyenet.inference.checkpointed_config import CheckpointedConfig
from dyenet.inference.stopwatch import Stopwatch
from dyenet.structures import Candidates, MaskPatches, PropagationState, StartingPoint, Template

A, B, C, D = ([float(x), 0.0, float(x + 20), 20.0] for x in (0, 30, 60, 90))
S = 8


def patch(box: list[float], *, cells: int = S * S) -> MaskPatches:
    probabilities = torch.zeros(1, S * S)
    probabilities[:, :cells] = 1
    return MaskPatches(torch.tensor([box]), probabilities.reshape(1, S, S))


def embedding(object_id: int, similarity: float = 1.0) -> torch.Tensor:
    """A unit vector of this similarity to the object's template and of none to the others'."""
    out = torch.zeros(6)
    out[object_id], out[5] = similarity, (1 - similarity**2) ** 0.5
    return out


class Scene:
    """Propagator and retriever in one: ``found[frame]`` lists (box, embedding); a mask carried into a (object,
    frame) of ``faint`` has one cell left, into one of ``lost`` none; ``calls`` is what was asked."""

    def __init__(self, found=None, *, faint=(), lost=()):
        self.found, self.faint, self.lost = found or {}, set(faint), set(lost)
        self.calls: list[tuple] = []
        self.guides: list[list[MaskPatches]] = []

    def candidates(self, frame):
        rows = self.found.get(frame, [])
        boxes = torch.tensor([box for box, _ in rows]).reshape(-1, 4)
        vectors = torch.stack([e for _, e in rows]) if rows else torch.zeros(0, 6)
        return Candidates(boxes, torch.ones(len(rows)), vectors)

    def embed(self, frame, boxes, masks=None):
        raise AssertionError("Algorithm 2 embeds candidates only")

    def begin(self, starting_points):
        self.calls.append(("begin", [(p.object_id, p.frame) for p in starting_points]))
        return PropagationState(
            [p.frame for p in starting_points],
            [p.object_id for p in starting_points],
            MaskPatches.cat([p.patch for p in starting_points]),
        )

    def step(self, state, targets):
        assert all(abs(a - b) == 1 for a, b in zip(state.frames, targets, strict=True))
        moves = list(zip(state.object_ids, state.frames, targets, strict=True))
        self.calls.append(("step", moves))
        probabilities = state.patches.probabilities.clone()
        for row, (k, _, target) in enumerate(moves):
            cells = 1 if (k, target) in self.faint else 0 if (k, target) in self.lost else None
            if cells is not None:
                probabilities[row].flatten()[cells:] = 0
        return PropagationState(
            list(targets), state.object_ids, MaskPatches(state.patches.boxes, probabilities)
        )

    def recover(self, frame, boxes, templates):
        self.calls.append(("recover", frame, [t.object_id for t in templates]))
        self.guides.append([t.patch for t in templates])
        return MaskPatches(boxes, torch.ones(len(boxes), S, S))


def run(
    scene: Scene, num_frames: int, starts: list[tuple[int, int, list[float]]], **config
) -> CheckpointedResult:
    points = [StartingPoint(k, frame, patch(box), given=True) for k, frame, box in starts]
    return run_checkpointed(
        num_frames=num_frames,
        image_size=(40, 120),
        given=points,
        templates=[Template(p.object_id, p.frame, p.patch, embedding(p.object_id)) for p in points],
        retriever=scene,
        propagator=scene,
        config=CheckpointedConfig(**config),
    )


def columns(result: CheckpointedResult, object_id: int, num_frames: int) -> str:
    """One letter per frame: whose box the mask has; - where there is none."""
    names = {A[0]: "A", B[0]: "B", C[0]: "C", D[0]: "D"}
    patches = result.tubes[object_id].patches
    return "".join(names[float(patches[i].boxes[0, 0])] if i in patches else "-" for i in range(num_frames))


def test_figure_3_the_backward_pass_is_interrupted_at_the_fourth_frame():
    """Six frames: the mask of frame 1 goes to the end; the retrieval in frame 6 goes back to frame 4, because
    frame 1 is closer to frame 3 than frame 6 is."""
    scene = Scene({5: [(B, embedding(1, 0.9))]})
    result = run(scene, 6, [(1, 0, A)])
    assert columns(result, 1, 6) == "AAABBB"
    first, second = result.rounds
    assert (first.number, first.frame, first.overwritten) == (0, 0, [1, 2, 3, 4, 5])
    assert first.checkpoints == [0] * 6
    assert (second.number, second.object_id, second.frame, second.overwritten) == (1, 1, 5, [3, 4])
    assert second.similarity == pytest.approx(0.9)
    assert second.box == tuple(B)
    assert second.checkpoints == [0, 0, 0, 5, 5, 5]
    assert scene.calls == [
        ("begin", [(1, 0)]),
        *[("step", [(1, i, i + 1)]) for i in range(5)],
        ("recover", 5, [1]),
        ("begin", [(1, 5)]),
        ("step", [(1, 5, 4)]),
        ("step", [(1, 4, 3)]),
    ]
    assert [sorted(t.patches) for t in result.tubes[1].tracklets] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("ties", "expected"), [("keep", "AAAABBB"), ("overwrite", "AAABBBB")])
def test_v1_a_mask_equally_far_from_both_starts(ties, expected):
    result = run(Scene({6: [(B, embedding(1, 0.9))]}), 7, [(1, 0, A)], ties=ties)
    assert columns(result, 1, 7) == expected


def test_rounds_take_the_best_instance_of_the_whole_video_first():
    """Nine frames, objects 1 and 2. The first pass is one batch. Order by similarity: object 2 in frame 8 (.9),
    object 1 in frame 6 (.8), object 1 in frame 2 (.7)."""
    scene = Scene(
        {
            2: [(D, embedding(1, 0.7))],
            6: [(C, embedding(1, 0.8))],
            8: [(D, embedding(2, 0.9)), (C, embedding(1, 0.4))],
        }
    )
    result = run(scene, 9, [(1, 0, A), (2, 0, B)])
    assert scene.calls[:2] == [("begin", [(1, 0), (2, 0)]), ("step", [(1, 0, 1), (2, 0, 1)])]
    assert [(r.number, r.object_id, r.frame, r.overwritten) for r in result.rounds] == [
        (0, 1, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (0, 2, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (1, 2, 8, [5, 6, 7]),  # frame 4 is a tie
        (2, 1, 6, [4, 5, 7, 8]),  # frame 3 is a tie
        (3, 1, 2, [3]),  # frames 1 and 4 are ties: |0-1| = |2-1| and |6-4| = |2-4|
    ]
    assert columns(result, 1, 9) == "AADDCCCCC"
    assert columns(result, 2, 9) == "BBBBBDDDD"
    assert result.rounds[-1].checkpoints == [0, 0, 2, 2, 6, 6, 6, 6, 6]


def test_v2_a_recovered_frame_is_not_retrieved_again_even_if_nothing_was_recovered():
    class Blind(Scene):
        def recover(self, frame, boxes, templates):
            super().recover(frame, boxes, templates)
            return MaskPatches(boxes, torch.zeros(len(boxes), S, S))

    found = {2: [(B, embedding(1, 0.9))]}
    result = run(Blind(found), 4, [(1, 0, A)])
    assert [r.frame for r in result.rounds] == [0, 2]
    assert columns(result, 1, 4) == "AAAA"  # what was found before stays
    literal = run(Blind(found), 4, [(1, 0, A)], mark_recovered=False)
    assert [r.frame for r in literal.rounds] == [0, 2, 2, 2, 2]  # until the bound of frames x objects
    assert len(run(Blind(found), 4, [(1, 0, A)], mark_recovered=False, max_rounds=2).rounds) == 3


def test_v14_a_track_that_is_lost_takes_no_mask_away():
    """Retrieved in frame 4, the object is lost to both sides at once: the masks of the first pass stay there."""

    class Soon(Scene):
        def recover(self, frame, boxes, templates):
            self.lost = {(1, 3), (1, 5)}
            return super().recover(frame, boxes, templates)

    result = run(Soon({4: [(B, embedding(1, 0.9))]}), 9, [(1, 0, A)])
    assert columns(result, 1, 9) == "AAAABAAAA"
    assert result.rounds[1].overwritten == []
    assert result.rounds[1].checkpoints == [0, 0, 0, 4, 4, 4, 0, 0, 0]
    assert [sorted(t.patches) for t in result.tubes[1].tracklets] == [[0, 1, 2, 3, 5, 6, 7, 8], [4]]


def test_v3_break_stops_at_the_first_checkpoint_and_continue_goes_on_from_the_mask_that_is_there():
    """Frame 4 is retrieved first but, with the paper's letter for V2, keeps checkpoint 0, while its neighbours
    get 4. Going back from frame 6, frame 5 is a tie; frame 4 (4 from frame 0, 2 from frame 6) may be written, and
    the letter makes it from P_5, the other start's mask."""
    found = {4: [(B, embedding(1, 0.9))], 6: [(C, embedding(1, 0.8))]}
    stop = Scene(found)
    result = run(stop, 7, [(1, 0, A)], mark_recovered=False, on_checkpoint="break", max_rounds=2)
    assert (result.rounds[2].frame, result.rounds[2].overwritten) == (6, [])
    assert columns(result, 1, 7) == "AAABBBC"
    go_on = Scene(found)
    result = run(go_on, 7, [(1, 0, A)], mark_recovered=False, on_checkpoint="continue", max_rounds=2)
    assert (result.rounds[2].frame, result.rounds[2].overwritten) == (6, [4])
    assert go_on.calls[-2:] == [("begin", [(1, 5)]), ("step", [(1, 5, 4)])]
    assert result.rounds[2].checkpoints == [0, 0, 0, 4, 6, 4, 4]
    assert [sorted(t.patches) for t in result.tubes[1].tracklets] == [[0, 1, 2], [3, 4, 5], [4, 6]]


@pytest.mark.parametrize(
    ("initial", "overwritten", "checkpoints"),
    [("given", [3, 4], [0, 0, 0, 5, 5, 5]), ("never", [2, 3, 4], [0, 0, 5, 5, 5, 5])],
)
def test_v4_frames_the_first_pass_never_reached(initial, overwritten, checkpoints):
    """The object is lost in frame 1, so the first pass ends there; frame 2 is nearer to frame 0 than to 5."""

    class LostAtFirst(Scene):
        def recover(self, frame, boxes, templates):
            self.lost.clear()
            return super().recover(frame, boxes, templates)

    scene = LostAtFirst({5: [(B, embedding(1, 0.9))]}, lost=[(1, 1)])
    result = run(scene, 6, [(1, 0, A)], initial_checkpoint=initial)
    assert result.rounds[0].overwritten == [1]
    assert result.rounds[1].overwritten == overwritten
    assert result.rounds[1].checkpoints == checkpoints


def test_v5_the_paper_retrieves_where_the_candidate_is_inconsistent_with_the_box():
    shifted = [6.0, 0.0, 26.0, 20.0]  # IoU 14/26 with A
    assert len(run(Scene({2: [(shifted, embedding(1, 0.9))]}), 3, [(1, 0, A)]).rounds) == 1
    assert len(run(Scene({2: [(shifted, embedding(1, 0.9))]}), 3, [(1, 0, A)], occlusion_iou=0.6).rounds) == 2
    assert (
        len(run(Scene({2: [(B, embedding(1, 0.5))]}), 3, [(1, 0, A)]).rounds) == 1
    )  # above rho_reid, not at it
    # The best candidate is where the mask is already: the second best is no reason to move.
    twice = Scene({2: [(A, embedding(1, 0.9)), (B, embedding(1, 0.8))]})
    assert len(run(twice, 3, [(1, 0, A)]).rounds) == 1


def test_v5_the_released_code_retrieves_only_an_absent_object_at_a_free_place():
    starts = [(1, 0, A), (2, 0, B), (3, 0, C)]

    def retrieved(candidate, lost):
        scene = Scene({2: [candidate]}, lost=[(k, 1) for k in lost])
        result = run(scene, 4, starts, needed_when="absent", joint_iterations=0)
        return [r.object_id for r in result.rounds if r.number]

    assert retrieved((D, embedding(1, 0.9)), lost=[]) == []  # present elsewhere
    assert retrieved((D, embedding(1, 0.9)), lost=[1]) == [1]
    assert retrieved((B, embedding(1, 0.9)), lost=[1]) == []  # object 2 is there
    both = 0.7 * embedding(1) + 0.6 * embedding(3)
    assert retrieved((D, both), lost=[1]) == [1]  # object 3 likes it too, but is present
    assert retrieved((D, both), lost=[1, 3]) == [1]  # the absent object that likes it best gets it
    likes_less = 0.6 * embedding(1) + 0.7 * embedding(3)
    assert retrieved((D, likes_less), lost=[1, 3]) == [3]


@pytest.mark.parametrize(("searched", "rounds"), [(True, 1), (False, 0)])
def test_v6_the_last_frame(searched, rounds):
    result = run(Scene({3: [(B, embedding(1, 0.9))]}), 4, [(1, 0, A)], search_last_frame=searched)
    assert len(result.rounds) - 1 == rounds


def test_frame_1_is_neither_searched_nor_overwritten():
    result = run(Scene({0: [(B, embedding(1, 0.9))], 1: [(B, embedding(1, 0.8))]}), 3, [(1, 0, A)])
    assert [r.frame for r in result.rounds] == [0, 1]
    assert columns(result, 1, 3) == "ABB"


def test_v8_recovery_feeds_its_own_mask_back_and_then_refines_the_neighbours_too():
    beside = [45.0, 0.0, 65.0, 20.0]  # covers the last two of B's eight columns of cells
    starts = [(1, 0, A), (2, 0, B), (3, 0, D)]
    config = dict(recover_iterations=3, needed_when="absent")

    scene = Scene({2: [(beside, embedding(1, 0.9))]}, lost=[(1, 1)])
    run(scene, 4, starts, **config, joint_iterations=2)
    assert [ids for _, _, ids in recoveries(scene)] == [[1]] * 3 + [[1, 2]] * 2
    assert [guide[0].boxes[0].tolist() for guide in scene.guides[:3]] == [
        A,
        beside,
        beside,
    ]  # template, own output
    neighbour = scene.guides[3][1]
    assert neighbour.boxes[0].tolist() == B
    assert neighbour.probabilities[0].sum(0).tolist() == [8, 8, 8, 8, 8, 8, 0, 0]

    scene = Scene({2: [(beside, embedding(1, 0.9))]}, lost=[(1, 1)])
    result = run(scene, 4, starts, **config, joint_iterations=1)
    # What is left of B is 15 x 20; 15 % more on each side, inside the frame
    assert result.tubes[2].patches[2].boxes[0].tolist() == pytest.approx([27.75, 0, 47.25, 23])
    assert result.rounds[3].checkpoints == [0, 0, 2, 2]
    assert result.tubes[2].patches[1].boxes[0].tolist() == B
    assert run(scene, 4, starts, recover_iterations=1).rounds[1].checkpoints == [0, 0, 0, 0]


def recoveries(scene: Scene) -> list[tuple]:
    return [call for call in scene.calls if call[0] == "recover"]


@pytest.mark.parametrize(("presence", "rounds"), [("probability", 0), ("label", 1)])
def test_v9_an_object_whose_pixels_another_wins_is_present_by_probability_only(presence, rounds):
    """Object 2 lies over object 1 with a higher probability."""
    weak = MaskPatches(torch.tensor([A]), torch.full((1, S, S), 0.6))
    points = [StartingPoint(1, 0, weak, given=True), StartingPoint(2, 0, patch(A), given=True)]
    scene = Scene({1: [(D, embedding(1, 0.9))]})
    result = run_checkpointed(
        num_frames=2,
        image_size=(40, 120),
        given=points,
        templates=[Template(p.object_id, 0, p.patch, embedding(p.object_id)) for p in points],
        retriever=scene,
        propagator=scene,
        config=CheckpointedConfig(needed_when="absent", presence=presence),
    )
    assert len([r for r in result.rounds if r.number]) == rounds


def test_v14_a_mask_below_a_tenth_of_the_template_is_kept_but_not_carried_on():
    """One cell of 64 is left in frame 2; object 2 goes on alone."""
    scene = Scene(faint=[(1, 2)])
    result = run(scene, 5, [(1, 0, A), (2, 0, B)])
    assert sorted(result.tubes[1].patches) == [0, 1, 2]
    assert sorted(result.tubes[2].patches) == [0, 1, 2, 3, 4]
    assert scene.calls[-1] == ("step", [(2, 3, 4)])
    assert sorted(run(Scene(faint=[(1, 2)]), 5, [(1, 0, A)], min_area_ratio=0.01).tubes[1].patches) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_v14_the_first_step_from_a_recovered_mask_is_always_taken():
    class Faint(Scene):
        def recover(self, frame, boxes, templates):
            return patch(boxes[0].tolist(), cells=1)

    result = run(Faint({3: [(B, embedding(1, 0.9))]}), 7, [(1, 0, A)])
    assert result.rounds[1].overwritten == [2, 4]


@pytest.mark.parametrize(("until", "expected"), [("checkpoint", "AAABBBB"), ("present", "AAAABBB")])
def test_a_round_can_end_before_the_next_frame_in_which_the_object_is_present(until, expected):
    """The object is lost in frame 4 and retrieved in frame 5, which is closer to frame 3 than frame 0 is."""

    class Refound(Scene):
        def recover(self, frame, boxes, templates):
            self.lost.clear()
            return super().recover(frame, boxes, templates)

    scene = Refound({5: [(B, embedding(1, 0.9))]}, lost=[(1, 4)])
    result = run(scene, 7, [(1, 0, A)], needed_when="absent", propagate_until=until)
    assert columns(result, 1, 7) == expected


def test_masks_given_in_several_frames_share_the_video_by_distance():
    scene = Scene()
    result = run(scene, 9, [(1, 1, A), (1, 6, B), (2, 4, C)])
    assert columns(result, 1, 9) == "AAAABBBBB"  # frame 3 is 2 from frame 1, frame 4 is 2 from frame 6
    assert columns(result, 2, 9) == "CCCCCCCCC"
    assert scene.calls[0] == ("begin", [(1, 1), (2, 4), (1, 6)])
    assert result.rounds[-1].checkpoints == [1, 1, 1, 1, 6, 6, 6, 6, 6]


def test_algorithm_sets_the_defaults_and_a_field_overrides_it():
    released = CheckpointedConfig(algorithm="released").resolved()
    assert (released.needed_when, released.search_last_frame, released.recover_iterations) == (
        "absent",
        False,
        5,
    )
    assert CheckpointedConfig().resolved().initial_checkpoint == "given"
    assert CheckpointedConfig(algorithm="released", joint_iterations=0).resolved().joint_iterations == 0
    with pytest.raises(ConfigError, match="'paper', 'released'"):
        CheckpointedConfig(algorithm="other")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        CheckpointedConfig(recover_iterations=0)


def test_the_algorithm_can_be_overridden_in_a_config_that_was_written_out_in_full():
    block = Config(dataclasses.asdict(build(CheckpointedConfig, {})))
    apply_overrides(block, ["algorithm=released", "on_checkpoint=continue", "search_last_frame=True"])
    config = build(CheckpointedConfig, block.to_dict()).resolved()
    assert (config.needed_when, config.on_checkpoint, config.search_last_frame) == (
        "absent",
        "continue",
        True,
    )
    with pytest.raises(ConfigError, match="needed_when"):
        build(CheckpointedConfig, {"needed_when": "always"})


def test_progress_ends_at_its_totals_and_seconds_are_booked():
    seen: dict[str, tuple[int, int]] = {}
    stopwatch = Stopwatch()
    scene = Scene({3: [(B, embedding(1, 0.9))]})
    point = StartingPoint(1, 1, patch(A), given=True)
    run_checkpointed(
        num_frames=5,
        image_size=(40, 120),
        given=[point],
        templates=[Template(1, 1, point.patch, embedding(1))],
        retriever=scene,
        propagator=scene,
        config=CheckpointedConfig(),
        progress=lambda stage, done, total: seen.__setitem__(stage, (done, total)),
        stopwatch=stopwatch,
    )
    assert set(seen) == {"propagate", "retrieve", "rounds"}
    assert all(done == total for done, total in seen.values())
    assert set(stopwatch.seconds) == {"propagate", "retrieve"}


@settings(max_examples=40, deadline=None)
@given(
    table=st.dictionaries(
        st.tuples(st.integers(1, 6), st.sampled_from([1, 2])),
        st.tuples(st.sampled_from([A, B, C, D]), st.floats(0, 1)),
        max_size=8,
    ),
    lost=st.sets(st.tuples(st.sampled_from([1, 2]), st.integers(1, 6)), max_size=4),
    algorithm=st.sampled_from(["paper", "released"]),
    on_checkpoint=st.sampled_from(["break", "continue"]),
    ties=st.sampled_from(["keep", "overwrite"]),
)
def test_it_ends_and_a_mask_is_never_replaced_by_one_from_farther_away(
    table, lost, algorithm, on_checkpoint, ties
):
    found: dict[int, list] = {}
    for (frame, object_id), (box, similarity) in table.items():
        found.setdefault(frame, []).append((box, embedding(object_id, similarity)))
    result = run(
        Scene(found, lost=lost),
        7,
        [(1, 0, A), (2, 0, B)],
        algorithm=algorithm,
        on_checkpoint=on_checkpoint,
        ties=ties,
    )
    retrieved = [(r.object_id, r.frame) for r in result.rounds if r.number]
    assert len(set(retrieved)) == len(retrieved)
    for object_id in (1, 2):
        tube = result.tubes[object_id]
        frames = [frame for tracklet in tube.tracklets for frame in tracklet.patches]
        assert len(set(frames)) == len(frames)  # no mask is kept twice
        assert set(tube.patches) <= set(frames)
        rows = [r.checkpoints for r in result.rounds if r.object_id == object_id]
        for before, after in itertools.pairwise(rows):
            for frame, (old, new) in enumerate(zip(before, after, strict=True)):
                assert old is None or (new is not None and abs(new - frame) <= abs(old - frame))
