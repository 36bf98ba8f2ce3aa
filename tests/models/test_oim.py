"""OIM by hand: the update rule, the queue, unseen slots, empty batches (person_search's code)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dyenet.models.oim import OIMLoss

EAST, NORTH = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])


def test_table_moves_half_way_and_is_renormalised():
    oim = OIMLoss(num_identities=2, embedding_dim=2)
    oim.update(torch.stack([EAST]), torch.tensor([1]))
    assert oim.table.tolist() == [[0, 0], [1, 0]]  # from an empty slot: half of the embedding, renormalised
    oim.update(torch.stack([NORTH]), torch.tensor([1]))
    assert torch.allclose(oim.table[1], torch.tensor([math.sqrt(0.5), math.sqrt(0.5)]))
    assert oim.seen.tolist() == [False, True]


def test_updates_of_one_identity_follow_one_another():
    oim = OIMLoss(num_identities=1, embedding_dim=2)
    oim.update(torch.stack([EAST, NORTH]), torch.tensor([0, 0]))
    once = F.normalize(0.5 * EAST + 0.5 * NORTH, dim=0)
    assert torch.allclose(oim.table[0], once)


def test_queue_wraps_and_holds_the_latest():
    oim = OIMLoss(num_identities=0, embedding_dim=2, queue_size=2)
    oim.update(torch.stack([EAST, NORTH, -EAST]), torch.tensor([-1, -1, -1]))
    assert oim.queue.tolist() == [[-1, 0], [0, 1]]
    assert (int(oim.head), int(oim.filled)) == (1, 2)


def test_unseen_slots_are_left_out_of_the_softmax():
    oim = OIMLoss(num_identities=3, embedding_dim=2, queue_size=4)
    oim.update(torch.stack([EAST, NORTH]), torch.tensor([0, 1]))
    loss = oim(EAST[None], torch.tensor([0]))
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-10)), abs=1e-6)  # two slots, cosines 1 and 0
    oim.update(-NORTH[None], torch.tensor([-1]))
    loss = oim(NORTH[None], torch.tensor([0]))
    expected = -math.log(1 / (1 + math.exp(10) + math.exp(-10)))  # own slot 0, the other 10, the queue -10
    assert float(loss) == pytest.approx(expected, abs=1e-4)


def test_unseen_slots_count_with_a_logit_of_zero_where_asked_for():
    oim = OIMLoss(num_identities=3, embedding_dim=2, mask_unseen=False)
    oim.update(EAST[None], torch.tensor([0]))
    assert float(oim(EAST[None], torch.tensor([0]))) == pytest.approx(
        math.log(1 + 2 * math.exp(-10)), abs=1e-6
    )
    assert float(oim(EAST[None], torch.tensor([2]))) == pytest.approx(math.log(2 + math.exp(10)))


@pytest.mark.parametrize(
    ("identities", "labels"),
    [(0, [-1, -1]), (3, [-1, -1]), (3, [0, 2])],
    ids=["empty table", "unlabelled", "seen for the first time"],
)
def test_a_batch_without_targets_gives_zero_with_a_graph(identities, labels):
    oim = OIMLoss(num_identities=identities, embedding_dim=2, queue_size=1)
    embeddings = torch.stack([EAST, NORTH]).requires_grad_()
    loss = oim(embeddings, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert embeddings.grad.tolist() == [[0, 0], [0, 0]]


def test_an_empty_batch_gives_zero_and_changes_nothing():
    oim = OIMLoss(num_identities=1, embedding_dim=2)
    nothing = torch.zeros(0, 2, requires_grad=True)
    loss = oim(nothing, torch.zeros(0, dtype=torch.long))
    loss.backward()
    oim.update(nothing, torch.zeros(0, dtype=torch.long))
    assert loss.item() == 0
    assert not oim.seen.any()


def test_loss_pulls_towards_the_own_slot_and_away_from_others():
    oim = OIMLoss(num_identities=2, embedding_dim=2)
    oim.update(torch.stack([EAST, NORTH]), torch.tensor([0, 1]))
    embedding = F.normalize(EAST + NORTH, dim=0)[None].requires_grad_()
    oim(embedding, torch.tensor([0])).backward()
    gradient = embedding.grad[0]
    # p = (1/2, 1/2): d loss / d x = 10 * (p_0 - 1, p_1)
    assert torch.allclose(gradient, torch.tensor([-5.0, 5.0]))


def test_an_update_between_forward_and_backward_does_no_harm():
    oim = OIMLoss(num_identities=2, embedding_dim=2)
    oim.update(torch.stack([EAST, NORTH]), torch.tensor([0, 1]))
    embedding = F.normalize(EAST + NORTH, dim=0)[None].requires_grad_()
    loss = oim(embedding, torch.tensor([0]))
    oim.update(NORTH[None], torch.tensor([0]))
    loss.backward()
    assert torch.allclose(embedding.grad[0], torch.tensor([-5.0, 5.0]))


def test_table_and_queue_survive_a_state_dict():
    oim = OIMLoss(num_identities=2, embedding_dim=2, queue_size=3)
    oim.update(torch.stack([EAST, NORTH]), torch.tensor([1, -1]))
    other = OIMLoss(num_identities=2, embedding_dim=2, queue_size=3)
    other.load_state_dict(oim.state_dict())
    for name, value in oim.named_buffers():
        assert torch.equal(value, other.get_buffer(name)), name
    other.update(EAST[None], torch.tensor([-1]))
    assert other.queue[:2].tolist() == [[0, 1], [1, 0]]
