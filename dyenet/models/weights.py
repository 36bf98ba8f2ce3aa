"""Weights files: safetensors with the resolved config inside, loaded strictly and never unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dyenet.errors import WeightsError
from dyenet.files import atomic_path
from dyenet.registry import MODELS

FORMAT = "dyenet-1"


def save_network(
    network: nn.Module,
    config: Mapping[str, Any],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes the network's state and ``config`` (its ``model`` and ``inference`` blocks) to one file, atomically.

    Floating-point tensors are stored as ``dtype``. ``extra`` (JSON-able) goes into the metadata: parent weights,
    frames seen, scores.
    """
    kept = {key: _plain(config[key]) for key in ("model", "inference") if key in config}
    metadata = {"format": FORMAT, "config": json.dumps(kept), "extra": json.dumps(_plain(dict(extra or {})))}
    state = {
        name: (t.to(dtype) if t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata=metadata)
        temporary.chmod(0o644)  # safetensors lets nobody else read it


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], Config, dict[str, Any]]:
    """The state (float32), the config and the extra metadata of a weights file.

    Raises WeightsError if the file is missing, no safetensors, or not written by ``save_network``.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path} is no safetensors file, or it is damaged ({error})") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} was not saved by dyenet (its metadata lacks format {FORMAT!r}); convert foreign weights with "
            "dyenet.models.converters"
        )
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    return state, Config(json.loads(metadata["config"])), json.loads(metadata["extra"])


def load_network(path: str | Path) -> tuple[nn.Module, Config, dict[str, Any]]:
    """Builds the network that a weights file describes and loads it; (network, config, extra metadata)."""
    state, config, extra = read_weights(path)
    network: nn.Module = MODELS.build(config.model)
    load_strictly(network, state, str(path))
    return network, config, extra


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """``load_state_dict`` that names every missing, unexpected and misshapen key of ``source``.

    ``num_batches_tracked`` counters may be missing or left over: frozen norms have none.
    """
    own = module.state_dict()
    counter = "num_batches_tracked"
    missing = sorted(k for k in own.keys() - state.keys() if not k.endswith(counter))
    unexpected = sorted(k for k in state.keys() - own.keys() if not k.endswith(counter))
    shapes = [
        f"{k} is {tuple(state[k].shape)}, the model has {tuple(own[k].shape)}"
        for k in sorted(own.keys() & state.keys())
        if own[k].shape != state[k].shape
    ]
    problems = [
        f"{label}: {', '.join(keys)}"
        for label, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise WeightsError(f"the weights in {source} do not fit the model; " + "; ".join(problems))
    module.load_state_dict({**own, **{k: v for k, v in state.items() if k in own}})


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
