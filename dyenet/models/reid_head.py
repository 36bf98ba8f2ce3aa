"""The re-identification head: a mask and an embedding for every box (DyeNet Sec. 3.1, Fig. 3a)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dyenet.models.blocks import FeatureNorm, NormName
from dyenet.models.conv5 import Conv5, OutputNetwork
from dyenet.registry import MODELS


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
