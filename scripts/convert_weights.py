"""Foreign weights as a weights file of this project, for --model or for a training's model.init_from.

    python scripts/convert_weights.py imagenet dyenet/r101.py r101_imagenet.safetensors
    python scripts/convert_weights.py deeplabv3 dyenet/r101.py r101_coco.safetensors --state deeplabv3_resnet101.pth
    python scripts/convert_weights.py imagenet msk/msk_r101.py msk_imagenet.safetensors --set model.network.stem=plain
    python scripts/convert_weights.py vsreid vsreid/r101_released.py vsreid_released.safetensors --state MP2S.pth

Sources: imagenet (torchvision's ResNets), deeplabv3 (torchvision's, COCO), faster_rcnn (torchvision's, COCO),
vsreid (the released mask propagation network). Without --state, torchvision fetches its own. What the source
does not have stays random.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor

import dyenet.training.runner  # noqa: F401  (registers everything that a config names)
from dyenet.config import load_config
from dyenet.errors import ConfigError, DyeNetError, WeightsError
from dyenet.models.baselines import MSK, VSReID
from dyenet.models.baselines.convert import (
    load_imagenet_resnet101,
    load_released_vsreid,
    load_torchvision_faster_rcnn,
)
from dyenet.models.converters import load_deeplabv3_resnet, load_imagenet_resnet
from dyenet.models.dyenet import DyeNet
from dyenet.models.weights import save_network
from dyenet.registry import MODELS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", choices=["imagenet", "deeplabv3", "faster_rcnn", "vsreid"])
    parser.add_argument("config", help="the config whose network takes the weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--state", type=Path, help="the source's state dict, .pth or .safetensors")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    options = parser.parse_args()
    try:
        convert(options.source, options.config, options.out, options.state, options.overrides)
    except DyeNetError as error:
        sys.exit(str(error))


def convert(source: str, config: str, out: Path, state_file: Path | None, overrides: list[str]) -> None:
    """Raises ConfigError if the source has nothing for the config's network, WeightsError if it does not fit."""
    if source == "vsreid" and state_file is None:
        raise ConfigError("the released VS-ReID weights are fetched by hand; give their file with --state")
    cfg = load_config(config, overrides)
    block = cfg.model.get("network", cfg.model)
    network = MODELS.build(block.to_dict())
    if source == "imagenet" and isinstance(network, DyeNet):
        load_imagenet_resnet(network, read_state(state_file, f"resnet{block.trunk.depth}"))
    elif source == "imagenet" and isinstance(network, (MSK, VSReID)):
        stream = network if isinstance(network, MSK) else network.propagation.rgb
        load_imagenet_resnet101(stream.backbone, read_state(state_file, "resnet101"))
    elif source == "deeplabv3" and isinstance(network, DyeNet):
        load_deeplabv3_resnet(network, read_state(state_file, f"deeplabv3_resnet{block.trunk.depth}"))
    elif source == "faster_rcnn" and isinstance(network, VSReID):
        load_torchvision_faster_rcnn(network.detector, read_state(state_file, "fasterrcnn_resnet50_fpn"))
    elif source == "vsreid" and isinstance(network, VSReID):
        load_released_vsreid(network.propagation, read_state(state_file, ""))
    else:
        raise ConfigError(f"{source} has nothing for the {type(network).__name__} of {config}")
    blocks = {"model": block.to_dict(), "inference": cfg.get("inference", {})}
    save_network(network, blocks, out, extra={"parent": {"file": str(state_file or f"torchvision {source}")}})
    print(f"wrote {out}")


def read_state(file: Path | None, name: str) -> Mapping[str, Tensor]:
    """The state dict in ``file``, or torchvision's default one of its model ``name``."""
    if file is None:
        weights: Any = torchvision.models.get_model_weights(name).DEFAULT
        return weights.get_state_dict(progress=True)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch finds wrong with a file
        raise WeightsError(f"{file} cannot be read as a state dict ({str(error).splitlines()[0]})") from error


if __name__ == "__main__":
    main()
