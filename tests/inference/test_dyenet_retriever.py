import numpy as np
import pytest
import torch

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.dyenet_retriever import DyeNetRetriever
from dyenet.inference.features import FeatureStore
from dyenet.structures import ArrayVideo


@pytest.fixture
def features(tiny_model) -> FeatureStore:
    rng = np.random.default_rng(0)
    video = ArrayVideo(rng.integers(0, 256, (3, 64, 96, 3), dtype=np.uint8))
    return FeatureStore(tiny_model.network, video, memory_bytes=2**24, dtype=torch.float32)


def test_candidates_are_computed_once_and_embedded_in_batches_of_any_size(tiny_model, features):
    whole = DyeNetRetriever(tiny_model.network, features, RetrievalConfig(max_proposals=7)).candidates(2)
    retriever = DyeNetRetriever(tiny_model.network, features, RetrievalConfig(max_proposals=7, embed_batch=3))
    found = retriever.candidates(2)
    assert retriever.candidates(2) is found
    assert 0 < len(found) <= 7
    assert found.embeddings.shape == (len(found), 256)
    assert torch.allclose(found.embeddings.norm(dim=1), torch.ones(len(found)), atol=1e-5)
    assert torch.allclose(found.embeddings, whole.embeddings, atol=1e-5)
    assert torch.allclose(retriever.embed(2, found.boxes[1:2]), found.embeddings[1:2], atol=1e-5)
    assert features.trunk_runs == 1


def test_matched_boxes_are_candidates_behind_the_proposals_and_follow_the_given_masks(tiny_model, features):
    config = RetrievalConfig(max_proposals=4)
    proposals = DyeNetRetriever(tiny_model.network, features, config).candidates(1)
    given = [torch.tensor([[8.0, 8.0, 40.0, 40.0]])]
    retriever = DyeNetRetriever(tiny_model.network, features, config, lambda frame: given[0])
    found = retriever.candidates(1)
    assert torch.equal(found.boxes, torch.cat([proposals.boxes, given[0]]))
    assert torch.allclose(found.embeddings[-1:], retriever.embed(1, given[0]))
    given[0] = torch.zeros(0, 4)  # as after other masks were given
    assert torch.equal(retriever.candidates(1).boxes, proposals.boxes)


def test_no_boxes_give_no_embeddings(tiny_model, features):
    retriever = DyeNetRetriever(tiny_model.network, features, RetrievalConfig())
    assert retriever.embed(0, torch.zeros(0, 4)).shape == (0, 256)
