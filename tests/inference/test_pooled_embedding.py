"""Pooled embeddings, against features worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.dyenet_retriever import DyeNetRetriever
from dyenet.inference.features import FeatureStore
from dyenet.inference.pooled_embedding import RIDGE, PooledEmbedding
from dyenet.structures import ArrayVideo, FrameFeatures, MaskPatches


def frame(coarse: torch.Tensor, fine: torch.Tensor | None = None) -> FrameFeatures:
    return FrameFeatures(coarse[None], None if fine is None else fine[None], (16, 16))


def spread(first: float, second: float) -> torch.Tensor:
    """Two channels of mean (10, 20), variances ``first`` and ``second`` (times 4 / 3) and no covariance."""
    signs = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]])
    return (
        torch.tensor([10.0, 20.0])[:, None] + signs * torch.tensor([first, second])[:, None] ** 0.5
    ).reshape(2, 2, 2)


def test_features_are_averaged_over_the_mask_centred_and_whitened():
    embed = PooledEmbedding(frame(spread(9, 1)))
    roi = torch.full((1, 2, 4, 4), 100.0)
    roi[0, :, :2] = torch.tensor([13.0, 21.0])[:, None, None]  # 3 and 1 above the mean: one deviation each
    masks = torch.zeros(1, 4, 4)
    masks[0, :2] = 0.7
    variances = torch.tensor([9.0, 1.0]) * 4 / 3
    expected = torch.tensor([3.0, 1.0]) / (variances + RIDGE * variances.mean()).sqrt()
    torch.testing.assert_close(embed([roi], masks)[0], expected / expected.norm())
    torch.testing.assert_close(embed([roi], masks * 0.1), embed([roi], masks))  # a mean: no matter how sure


def test_what_two_maps_say_counts_the_same_whatever_their_size():
    embed = PooledEmbedding(frame(spread(1, 1), 1000 * spread(1, 1)))
    rois = [torch.tensor([11.0, 20.0]), 1000 * torch.tensor([10.0, 19.0])]
    cells = [rois[0][None, :, None, None].expand(1, 2, 4, 4), rois[1][None, :, None, None].expand(1, 2, 8, 8)]
    embedding = embed(cells, torch.ones(1, 8, 8))[0]
    assert embed.dim == 4
    torch.testing.assert_close(embedding, torch.tensor([1.0, 0, 0, -1]) / 2**0.5, atol=1e-3, rtol=0)


def test_a_frame_of_one_colour_and_an_empty_mask_give_numbers():
    embed = PooledEmbedding(frame(torch.full((2, 2, 2), 5.0)))
    assert embed([torch.rand(1, 2, 4, 4)], torch.ones(1, 4, 4)).isfinite().all()
    assert embed([torch.rand(1, 2, 4, 4)], torch.zeros(1, 4, 4)).isfinite().all()


@pytest.fixture
def retriever(tiny_model) -> DyeNetRetriever:
    video = ArrayVideo(np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8))
    store = FeatureStore(tiny_model.network, video, memory_bytes=2**24, dtype=torch.float32)
    return DyeNetRetriever(tiny_model.network, store, RetrievalConfig(embedding="pooled", embed_batch=2))


def test_a_known_mask_is_looked_at_and_not_the_box(retriever):
    boxes = torch.tensor([[0.0, 0, 40, 40]]).repeat(3, 1)
    left, right = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    left[..., :4], right[..., 4:] = 1, 1
    masks = MaskPatches(boxes, torch.cat([left, right, left]))
    one, other, again = retriever.embed(0, boxes, masks)
    torch.testing.assert_close(one, again)
    assert one @ other < 0.99
    assert retriever.embed(0, torch.zeros(0, 4)).shape == (0, len(one))


def test_candidates_are_embedded_with_the_masks_found_in_them(retriever):
    found = retriever.candidates(1)
    torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(len(found)))
    torch.testing.assert_close(retriever.embed(1, found.boxes[:1]), found.embeddings[:1])
