"""Foreign weights into our networks: one named function per source, each strict."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dyenet.errors import WeightsError
from dyenet.models.dyenet import DyeNet
from dyenet.models.weights import load_strictly

_COUNTER = "num_batches_tracked"
_UNUSED_IMAGENET = ("fc.weight", "fc.bias")
HIDDEN_STD = 1e-3
"""Spread of the hidden state's part of the widened convolutions: small, so that conv5_x starts as trained."""


def load_imagenet_resnet(network: DyeNet, state: Mapping[str, Tensor]) -> None:
    """torchvision's ImageNet ``resnet50`` / ``resnet101`` state dict: conv1..layer3 to the trunk, layer4 to the
    three copies of conv5_x. The classifier is left out; every other key must be used and fit.
    """
    _load_resnet(
        network, {k: v for k, v in state.items() if k not in _UNUSED_IMAGENET}, "the ImageNet ResNet"
    )


def load_deeplabv3_resnet(network: DyeNet, state: Mapping[str, Tensor]) -> None:
    """torchvision's ``deeplabv3_resnet50`` / ``101`` state dict (``backbone.``, ``classifier.``,
    ``aux_classifier.``): the backbone goes where an ImageNet ResNet's layers go, the classifiers are left out.
    """
    unknown = [k for k in state if k.split(".")[0] not in ("backbone", "classifier", "aux_classifier")]
    if unknown:
        raise WeightsError(f"unexpected in a DeepLabV3 state dict: {', '.join(sorted(unknown))}")
    backbone = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    _load_resnet(network, backbone, "the DeepLabV3 backbone")


def _load_resnet(network: DyeNet, state: Mapping[str, Tensor], source: str) -> None:
    state = {k: v for k, v in state.items() if not k.endswith(_COUNTER)}
    layer4 = {k.removeprefix("layer4."): v for k, v in state.items() if k.startswith("layer4.")}
    trunk = {k: v for k, v in state.items() if not k.startswith("layer4.")}
    load_strictly(network.trunk, trunk, source)
    head = network.reid_head
    for name, conv5 in (
        ("reid_head.mask_conv5", head.mask_conv5),
        ("reid_head.embedding_conv5", head.embedding_conv5),
        ("propagation_head.conv5", network.propagation_head.conv5),
    ):
        own = conv5.blocks.state_dict()
        widened = {k: _widen(v, own[k]) if k in own else v for k, v in layer4.items()}
        load_strictly(conv5.blocks, widened, f"{source} (layer4 into {name})")


def _widen(weight: Tensor, own: Tensor) -> Tensor:
    """A convolution over x as one over [x, h] (reading D3): the trained part stays, the part over h is small."""
    if weight.ndim != 4 or weight.shape[0] != own.shape[0] or weight.shape[1] >= own.shape[1]:
        return weight
    hidden = torch.randn(own.shape[0], own.shape[1] - weight.shape[1], *own.shape[2:]) * HIDDEN_STD
    return torch.cat([weight.to(hidden.dtype), hidden], dim=1)
