"""From a name or a weights file to a model that is ready to segment."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from dyenet.config import apply_overrides, build, load_config
from dyenet.errors import ConfigError, WeightsError
from dyenet.inference.config import InferenceConfig
from dyenet.machine import is_fast_at_bfloat16
from dyenet.models.blocks import fuse_frozen_norms
from dyenet.models.weights import file_sha256, load_network
from dyenet.registry import MODELS

NAMED = ("small", "r50", "r101")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Model:
    """A network in eval mode on its device; it remembers nothing of a video.

    ``weights``: ``file`` and ``sha256`` and what the file says of itself, or ``{"file": None}`` for random weights.
    """

    name: str
    network: nn.Module
    config: Config
    inference: InferenceConfig
    device: torch.device
    dtype: torch.dtype
    weights: dict[str, Any]


def load_model(
    name_or_path: str | Path = "small",
    *,
    device: str = "auto",
    dtype: str = "auto",
    overrides: Sequence[str] = (),
    fuse: bool = True,
) -> Model:
    """A named model (``small``, ``r50``, ``r101``) or a ``.safetensors`` file.

    ``device`` is ``auto`` or PyTorch's name of one; ``dtype`` is ``auto``, ``float32``, ``bfloat16`` or
    ``float16``; ``overrides`` are ``key=value`` on the config, such as ``inference.iterative.max_rounds=1``.
    ``fuse`` folds frozen norms into the convolutions, after which the network can be neither trained nor saved.
    A named model without shipped weights gets random ones, with a warning. Raises WeightsError, ConfigError.
    """
    name = str(name_or_path)
    shipped = Path(__file__).parent.parent / "weights" / f"{name}.safetensors"
    if name in NAMED and not shipped.is_file():
        network, config, weights = _random_network(name)
    elif name in NAMED or Path(name).suffix == ".safetensors":
        path = shipped if name in NAMED else Path(name)
        checksum = file_sha256(path) if path.is_file() else ""
        if name in NAMED and checksum != shipped.with_suffix(".sha256").read_text().split()[0]:
            raise WeightsError(
                f"{path} is not the file that was shipped (its SHA-256 differs); install dyenet again"
            )
        network, config, extra = load_network(path)
        if name in NAMED:  # its weights fix the network, not how it is used
            config.inference = load_config(f"dyenet/{name}.py").inference
        weights = {"file": str(path), "sha256": checksum, **extra}
    else:
        raise WeightsError(f"there is no model '{name}'; give {', '.join(NAMED)} or a .safetensors file")
    inference = _inference_config(config, overrides)
    chosen = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen)
    network = network.eval().requires_grad_(False)
    if fuse:
        fuse_frozen_norms(network)
    network = network.to(chosen, chosen_dtype).to(memory_format=torch.channels_last)
    return Model(name, network, config, inference, chosen, chosen_dtype, weights)


def _random_network(name: str) -> tuple[nn.Module, Config, dict[str, Any]]:
    warnings.warn(
        f"no weights are shipped for '{name}': its weights are random, and so will be the masks", stacklevel=3
    )
    config = load_config(f"dyenet/{name}.py")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS.build(config.model), config, {"file": None}


def _inference_config(config: Config, overrides: Sequence[str]) -> InferenceConfig:
    """The config's ``inference`` block over the defaults, then the overrides; written back in full."""
    block = config.get("inference", {})
    config.inference = dataclasses.asdict(build(InferenceConfig, _plain(block), "inference."))
    for override in overrides:
        if not override.startswith("inference."):
            raise ConfigError(
                f"'{override}': the weights fix the model, so only keys of 'inference.' can be set"
            )
    apply_overrides(config, overrides)
    return build(InferenceConfig, _plain(config.inference), "inference.")


def _plain(block: Any) -> Any:
    return {k: _plain(v) for k, v in block.items()} if hasattr(block, "items") else block


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU. Raises ConfigError for a device that is not here."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used here ({first_line}); take cpu or auto") from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` takes bfloat16 where the machine is fast at it: CUDA, and some CPUs."""
    if name == "auto":
        return torch.bfloat16 if is_fast_at_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise ConfigError(f"dtype is '{name}'; it may be auto, {', '.join(DTYPES)}")
    return DTYPES[name]
