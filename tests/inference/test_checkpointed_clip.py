"""VS-ReID's schedule end to end, with a propagator and a retriever made from exact masks."""

import numpy as np
import pytest
from oracle import OraclePropagator, OracleRetriever, crossing_truth, given_points

from dyenet.inference.checkpointed import run_checkpointed
from dyenet.inference.checkpointed_config import CheckpointedConfig
from dyenet.structures import Template


def run(truth: np.ndarray, *, given_frame: int = 0, **config):
    retriever, propagator = OracleRetriever(truth, turn=0.02), OraclePropagator(truth)
    given = given_points(truth, given_frame)
    templates = [Template(p.object_id, p.frame, p.patch, retriever.look(p.frame, p.object_id)) for p in given]
    result = run_checkpointed(
        num_frames=len(truth),
        image_size=truth.shape[1:],
        given=given,
        templates=templates,
        retriever=retriever,
        propagator=propagator,
        config=CheckpointedConfig(**config),
    )
    return result, retriever


def ious(result, truth: np.ndarray, object_id: int) -> np.ndarray:
    """(T,) IoU of the object's masks with the truth; 1 where both are empty."""
    out = []
    for frame, labels in enumerate(truth):
        patch = result.tubes[object_id].patches.get(frame)
        mask = (
            patch.paste(*labels.shape)[0].numpy() >= 0.5
            if patch is not None
            else np.zeros(labels.shape, bool)
        )
        union = (mask | (labels == object_id)).sum()
        out.append((mask & (labels == object_id)).sum() / union if union else 1.0)
    return np.array(out)


@pytest.mark.parametrize("algorithm", ["paper", "released"])
def test_an_object_is_recovered_after_full_occlusion(algorithm):
    truth = crossing_truth()
    seen = np.array([(labels == 1).any() for labels in truth])
    back = int(np.flatnonzero(~seen).max()) + 1

    lost, _ = run(truth, algorithm=algorithm, max_rounds=0)
    assert ious(lost, truth, 1)[:8].min() > 0.9
    assert ious(lost, truth, 1)[back:].max() == 0

    result, retriever = run(truth, algorithm=algorithm)
    found = [r for r in result.rounds if r.number]
    assert found
    assert found[0].object_id == 1
    assert found[0].frame >= back
    assert ious(result, truth, 1).min() > 0.85
    assert ious(result, truth, 2).min() > 0.9
    assert max(retriever.calls.values()) == 1
    assert all(seen[r.frame] for r in found)


def test_the_last_frames_mask_is_enough():
    truth = crossing_truth()
    result, _ = run(truth, given_frame=len(truth) - 1)
    assert ious(result, truth, 1).min() > 0.85
    assert ious(result, truth, 2).min() > 0.9
