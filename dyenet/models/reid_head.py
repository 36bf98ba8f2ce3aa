"""The re-identification head: a mask and an embedding for every box (DyeNet Sec. 3.1, Fig. 3a)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

from dyenet.models.blocks import NormName
from dyenet.models.conv5 import Conv5, OutputNetwork
from dyenet.registry import MODELS


class FeatureNorm(nn.Module):
    """Centres and scales features by their running mean and variance, in training, too; no learned part.

    Not by those of the batch: a batch holds a few views of a few objects. ``update`` moves them, and is called once
    per optimiser step.
    """

    mean: Tensor
    variance: Tensor
    updates: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._collected: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """(R, C) -> (R, C)."""
        if self.training:
            self._collected.append(x.detach().float())
        return (x - self.mean) / (self.variance + 1e-5).sqrt()

    def update(self) -> None:
        """By all features since the last call, on all processes; the first one is taken whole, later ones less."""
        rows = torch.cat([self.mean.new_zeros(0, len(self.mean)), *self._collected])
        self._collected.clear()
        total = torch.cat([self.mean.new_tensor([len(rows)]), rows.sum(0)])
        all_reduce(total)
        count, mean = total[0], total[1:] / total[0]
        if count < 2:
            return
        # In two steps: the mean is large beside the spread, and a difference of sums would be rounding alone.
        squares = ((rows - mean) ** 2).sum(0)
        all_reduce(squares)
        share = max(self.momentum, 1 / (1 + int(self.updates)))
        self.mean.lerp_(mean, share)
        self.variance.lerp_(squares / (count - 1), share)
        self.updates.add_(1)


@MODELS.register_module()
class ReIDHead(nn.Module):
    """The mask network (conv5_x without its stride) and the re-identification network (conv5_x with it).

    ``pooled_norm`` normalises the pooled features before the embedding layer. Not in the paper: group norms, which
    small batches need, leave the pooled features of all boxes nearly the same.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        width: int = 512,
        hidden_channels: int = 2048,
        output_channels: int = 256,
        embedding_dim: int = 256,
        dilations: Sequence[int] = (2, 2, 2),
        norm: NormName = "frozen_bn",
        pooled_norm: bool = False,
    ) -> None:
        super().__init__()
        self.mask_conv5 = Conv5(
            in_channels, width=width, out_channels=hidden_channels, stride=1, dilations=dilations, norm=norm
        )
        self.mask_output = OutputNetwork(hidden_channels, output_channels)
        self.embedding_conv5 = Conv5(
            in_channels, width=width, out_channels=hidden_channels, stride=2, dilations=(1, 1, 1), norm=norm
        )
        self.pooled_norm = FeatureNorm(hidden_channels) if pooled_norm else None
        self.embedding = nn.Linear(hidden_channels, embedding_dim)
        self.embedding_dim = embedding_dim

    def segment(self, roi: Tensor) -> Tensor:
        """(R, C, m, m) RoI features -> (R, m, m) logits of the main instance's mask."""
        return self.mask_output(self.mask_conv5(roi))

    def embed(self, roi: Tensor) -> Tensor:
        """(R, C, m, m) RoI features -> (R, D) embeddings of unit length."""
        pooled = self.embedding_conv5(roi).mean(dim=(2, 3))
        if self.pooled_norm is not None:
            pooled = self.pooled_norm(pooled)
        return F.normalize(self.embedding(pooled).float(), dim=1)
