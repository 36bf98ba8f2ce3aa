"""Normalised pooled features: running statistics, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from dyenet.models.blocks import FeatureNorm


def test_feature_norm_by_hand():
    norm = FeatureNorm(2, momentum=0.5).train()
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    torch.testing.assert_close(norm(x), x, rtol=1e-4, atol=0)  # nothing seen yet
    norm.update()
    assert norm.mean.tolist() == [2.0, 4.0]
    assert norm.variance.tolist() == pytest.approx([2.0, 8.0])
    expected = torch.tensor([[-1.0, -1.0], [1.0, 1.0]]) / 2**0.5
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=0)
    norm(x + 2)
    norm.update()  # of both batches together: means 3 and 5, half of the way there
    assert norm.mean.tolist() == pytest.approx([2.5, 4.5])


def test_feature_norm_is_still_in_evaluation():
    norm = FeatureNorm(2).train()
    norm(torch.tensor([[1.0, 2.0]]))
    norm.update()  # one row has no variance
    assert norm.updates == 0
    norm.eval()(torch.randn(5, 2))
    norm.update()
    assert (norm.mean.tolist(), norm.variance.tolist(), norm.updates) == ([0.0, 0.0], [1.0, 1.0], 0)
