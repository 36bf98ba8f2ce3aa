"""Foreign weights into VS-ReID's networks: one named function per source, each strict."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dyenet.errors import WeightsError
from dyenet.models.baselines.detection import FasterRCNN
from dyenet.models.baselines.guided_resnet import GuidedResNet
from dyenet.models.baselines.guided_trunk import GuidedTrunk
from dyenet.models.baselines.vsreid import MaskPropagationNetwork
from dyenet.models.weights import load_strictly

RELEASED_MEAN = (123.0, 117.0, 104.0)
RELEASED_STD = (1.0, 1.0, 1.0)
_PARTS = {
    "backbone": "rgb.backbone",
    "aspp": "rgb.aspp",
    "classifier": "rgb.classifier",
    "flow_backbone": "flow.backbone",
    "flow_aspp": "flow.aspp",
    "flow_classifier": "flow.classifier",
}


def load_released_vsreid(network: MaskPropagationNetwork, state: Mapping[str, Tensor]) -> None:
    """The released VS-ReID propagation weights (MP2S): every key is renamed, and conv1_1 of the RGB stream, which
    was trained on BGR, has its input channels turned round.

    ``network`` must be the released one: two ResNet-101 streams with the deep stem, fusion "logit_sum", and
    ``RELEASED_MEAN``, ``RELEASED_STD``. Raises WeightsError that says what is not.
    """
    wrong = []
    if network.fusion != "logit_sum":
        wrong.append(f"fusion is {network.fusion!r}, not 'logit_sum'")
    stem = getattr(network.rgb.backbone, "stem", None)
    if stem != "deep":
        wrong.append(f"stem is {stem!r}, not 'deep'")
    for name, own, released in (("mean", network.mean, RELEASED_MEAN), ("std", network.std, RELEASED_STD)):
        if own.flatten().tolist() != list(released):
            wrong.append(f"{name} is not {released}")
    if wrong:
        raise WeightsError(f"the released VS-ReID weights need another network: {'; '.join(wrong)}")
    renamed = {}
    for key, value in state.items():
        part, _, rest = key.removeprefix("module.").partition(".")
        if part not in _PARTS:
            raise WeightsError(f"unexpected in the released VS-ReID weights: {key}")
        renamed[f"{_PARTS[part]}.{rest}"] = value
    first = "rgb.backbone.conv1_1.weight"
    if first in renamed:
        renamed[first] = renamed[first].flip(1)
    load_strictly(network, renamed, "the released VS-ReID weights")


def load_imagenet_resnet101(backbone: GuidedResNet | GuidedTrunk, state: Mapping[str, Tensor]) -> None:
    """torchvision's ``resnet101`` state dict into a stream of the plain stem; the guide's convolution is left as it
    is, the classifier of the weights left out. (The deep stem has other first layers than any of torchvision's.)
    """
    if not isinstance(backbone, GuidedResNet) or backbone.stem != "plain":
        raise WeightsError(
            "torchvision's ResNets fit the plain stem alone; build the stream with stem='plain'"
        )
    kept = {k: v for k, v in state.items() if not k.startswith("fc.")}
    own = {"prob_encode.weight": backbone.prob_encode.weight.detach()}
    load_strictly(backbone, {**kept, **own}, "the ImageNet ResNet")


def load_torchvision_faster_rcnn(detector: FasterRCNN, state: Mapping[str, Tensor]) -> None:
    """torchvision's ``fasterrcnn_resnet50_fpn`` state dict, such as COCO's (num_classes=91, person_class=1)."""
    load_strictly(detector.model, state, "torchvision's Faster R-CNN")
