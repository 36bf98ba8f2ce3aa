from dataclasses import replace

import numpy as np
import pytest
from oracle import OraclePropagator, OracleRetriever, crossing_truth, given_points

from dyenet.inference.config import InferenceConfig, IterativeConfig, RetrievalConfig
from dyenet.inference.iterative import run_iterative
from dyenet.inference.merging import merge_labels

CONFIG = InferenceConfig(retrieval=RetrievalConfig(frame_step=1))


def run(truth, *, turn=0.0, config=CONFIG, given=None, **kw):
    propagator, retriever = OraclePropagator(truth), OracleRetriever(truth, turn=turn)
    result = run_iterative(
        given=given or given_points(truth),
        num_frames=len(truth),
        propagator=propagator,
        retriever=retriever,
        config=config,
        **kw,
    )
    return result, retriever


def worst_iou(result, truth, object_id) -> float:
    """Over the frames in which the object is seen."""
    ious = []
    for frame in range(len(truth)):
        patches = {i: t.patches[frame] for i, t in result.tubes.items() if frame in t.patches}
        labels = merge_labels(patches, truth.shape[1:], CONFIG.merging).numpy()
        wanted, found = truth[frame] == object_id, labels == object_id
        if wanted.any():
            ious.append((wanted & found).sum() / (wanted | found).sum())
    return min(ious)


def reappearance(truth) -> int:
    hidden = [t for t in range(len(truth)) if not (truth[t] == 1).any()]
    return hidden[-1] + 1


def test_an_object_is_recovered_after_full_occlusion():
    truth = crossing_truth()
    result, _ = run(truth)
    assert worst_iou(result, truth, 1) > 0.9
    assert worst_iou(result, truth, 2) > 0.9
    assert [t.start.given for t in result.tubes[1].tracklets] == [True, False]
    hidden = [t for t in range(len(truth)) if not (truth[t] == 1).any()]
    assert not set(hidden) & result.tubes[1].patches.keys()


def test_propagation_alone_does_not_recover_it():
    truth = crossing_truth()
    result, _ = run(truth, config=replace(CONFIG, retrieval=RetrievalConfig(similarity_threshold=1.1)))
    assert max(result.tubes[1].patches) < reappearance(truth)


def test_an_object_that_looks_different_when_it_returns_needs_template_expansion():
    truth, turn = crossing_truth(), 0.06
    assert np.cos(turn * reappearance(truth)) < 0.7  # unlike the given mask
    once, _ = run(truth, turn=turn, config=replace(CONFIG, iterative=IterativeConfig(max_rounds=1)))
    assert max(once.tubes[1].patches) < reappearance(truth)
    result, _ = run(truth, turn=turn)
    assert worst_iou(result, truth, 1) > 0.9
    assert result.rounds[0].added
    assert len(result.rounds) >= 2
    assert any(t.object_id == 1 and not t.start.given for t in result.rounds[1].propagated)


def test_rounds_stop_when_nothing_new_is_found():
    truth = crossing_truth()
    truth[:, :28] = 0  # only the object that stands still, turning slowly: one tracklet covers it
    result, _ = run(truth, turn=0.03, config=replace(CONFIG, iterative=IterativeConfig(max_rounds=9)))
    assert [len(r.propagated) for r in result.rounds] == [1, 0]
    assert result.rounds[0].added
    assert result.rounds[1].retrieved  # they were found again, and skipped


def test_rounds_stop_when_no_template_is_added():
    truth = crossing_truth()
    result, _ = run(truth)  # looks never change: every mask is a duplicate of the template
    assert [len(r.added) for r in result.rounds] == [0]


@pytest.mark.parametrize("cap", [1, 2])
def test_rounds_are_bounded(cap):
    truth = crossing_truth()
    config = replace(CONFIG, iterative=IterativeConfig(max_rounds=cap))
    assert len(run(truth, turn=0.06, config=config)[0].rounds) == cap


def test_given_masks_may_lie_in_any_frame_and_are_templates():
    truth = crossing_truth()
    given = [p for p in given_points(truth, 12) if p.object_id == 2]
    given += [p for p in given_points(truth, 22) if p.object_id == 1]
    result, _ = run(truth, given=given)
    assert worst_iou(result, truth, 1) > 0.9
    assert worst_iou(result, truth, 2) > 0.9
    assert {(t.object_id, t.frame) for t in result.templates if t.given} == {(2, 12), (1, 22)}


def test_every_frame_step_th_frame_is_searched_and_progress_says_so():
    truth, seen = crossing_truth(), []
    config = replace(CONFIG, retrieval=RetrievalConfig(frame_step=4))
    _, retriever = run(truth, config=config, progress=lambda *event: seen.append(event))
    assert sorted(retriever.calls) == list(range(0, 24, 4))
    assert ("retrieve 1", 6, 6) in seen
    assert any(stage == "propagate 1" and done == total for stage, done, total in seen)
