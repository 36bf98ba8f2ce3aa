import torch
from oracle import OraclePropagator, OracleRetriever, crossing_truth, given_points

from dyenet.structures import Template


def test_the_oracle_follows_an_object_and_loses_it_behind_the_wall():
    truth = crossing_truth()
    oracle = OraclePropagator(truth)
    state = oracle.begin(given_points(truth))
    assert state.object_ids == [1, 2]
    reached = 0
    for frame in range(1, len(truth)):
        state = oracle.step(state, [frame, frame])
        seen = state.patches.areas() > 0
        assert seen[1]
        if not seen[0]:
            break
        reached = frame
    hidden = [t for t in range(len(truth)) if not (truth[t] == 1).any()]
    assert len(hidden) >= 3
    assert reached == hidden[0] - 1


def test_the_oracle_retriever_knows_looks_and_the_oracle_recovers_masks():
    truth = crossing_truth()
    retriever = OracleRetriever(truth, turn=0.1)
    found = retriever.candidates(20)
    assert found.boxes.shape == (2, 4)
    first = retriever.embed(0, retriever.candidates(0).boxes)
    assert torch.allclose((found.embeddings * first).sum(1), torch.cos(torch.tensor([2.0, 2.0])))
    template = Template(1, 0, given_points(truth)[0].patch, first[0])
    patch = OraclePropagator(truth).recover(20, found.boxes[:1], [template])
    assert abs(patch.areas().item() - (truth[20] == 1).sum()) < 2
