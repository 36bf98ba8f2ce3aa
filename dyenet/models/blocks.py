"""Residual stages out of torchvision's blocks, with a dilation per block and a choice of normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d

NormName = Literal["frozen_bn", "bn", "gn"]


class _GroupNorm(nn.GroupNorm):
    """GroupNorm over 32 channels a group at most, so that it can stand where a norm takes only a width."""

    def __init__(self, channels: int) -> None:
        super().__init__(max(1, min(32, channels // 8)), channels)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "frozen_bn": FrozenBatchNorm2d,
    "bn": nn.BatchNorm2d,
    "gn": _GroupNorm,
}
"""``frozen_bn`` is every C4 detector's choice (batches too small for statistics), ``bn`` is for pre-training a
trunk, ``gn`` for heads trained from scratch."""


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


def residual_stage(
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    planes: int,
    *,
    stride: int,
    dilations: Sequence[int],
    norm: NormName,
    base_width: int = 64,
) -> nn.Sequential:
    """One block per entry of ``dilations``; the first has ``stride`` and projects where shapes differ.

    The output has ``planes * block.expansion`` channels. Parameter names are those of torchvision's layers.
    """
    make_norm = NORMS[norm]
    out_channels = planes * block.expansion
    if block is BasicBlock:  # torchvision's has no dilation and one width
        assert set(dilations) == {1}
    blocks: list[nn.Module] = []
    for index, dilation in enumerate(dilations):
        first = index == 0
        project = first and (stride != 1 or in_channels != out_channels)
        downsample = None
        if project:
            downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), make_norm(out_channels)
            )
        blocks.append(
            block(
                in_channels,
                planes,
                stride if first else 1,
                downsample,
                base_width=base_width,
                dilation=dilation,
                norm_layer=make_norm,
            )
        )
        in_channels = out_channels
    return nn.Sequential(*blocks)


def initialise(module: nn.Module) -> None:
    """He initialisation of every convolution (fan out); biases and linear layers as PyTorch has them.

    A frozen norm does not normalise yet, so the last one of every residual branch starts small: otherwise the
    signal doubles from block to block and a random ResNet-101 overflows.
    """
    for child in module.modules():
        if isinstance(child, (BasicBlock, Bottleneck)):
            last = child.bn3 if isinstance(child, Bottleneck) else child.bn2
            if isinstance(last, FrozenBatchNorm2d):
                last.weight.fill_(0.1)
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pads (B, C, H, W) at the right and bottom, with edge values, to the next multiple."""
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return images
    return nn.functional.pad(images, (0, right, 0, bottom), mode="replicate")


def fuse_frozen_norms(module: nn.Module) -> None:
    """Folds every frozen norm into the convolution before it, in place: for inference, where each is a pass
    over memory. The folded network can neither be trained nor saved as before.
    """
    for child in module.children():
        fuse_frozen_norms(child)
    names = list(module._modules)
    for name, following in pairwise(names):
        conv, norm = module._modules[name], module._modules[following]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d):
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            bias = torch.zeros_like(norm.bias) if conv.bias is None else conv.bias.data
            conv.weight = nn.Parameter(conv.weight.data * scale[:, None, None, None], requires_grad=False)
            conv.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias, requires_grad=False)
            module._modules[following] = nn.Identity()
