"""Which model a benchmark runs: a config and the weights that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dyenet.config import load_config
from dyenet.errors import ConfigError
from dyenet.inference.loading import NAMED, Model, load_model

SEQUENCE = "{sequence}"
"""In a weights' path it stands for the sequence's name: one model per video, fine-tuned on it."""


class ModelSource:
    """``config`` is a model's name, a weights file, or a config file with ``weights`` and an ``inference`` block.

    The config's ``inference`` block changes the one stored with the weights; ``overrides`` (``key=value``) change
    both, and ``weights=FILE`` replaces the weights. What the config says of the model, in ``model`` or in ``requires``
    (a part of such a block), must hold for the weights. Raises ConfigError.
    """

    def __init__(self, config: str, overrides: Sequence[str] = (), *, device: str, dtype: str) -> None:
        self.name, self._device, self._dtype = config, device, dtype
        given = [o.partition("=")[2] for o in overrides if o.startswith("weights=")]
        settings = [o for o in overrides if not o.startswith("weights=")]
        self._wanted: Mapping[str, Any] = {}
        weights: str | None = config
        if config not in NAMED and Path(config).suffix != ".safetensors":
            loaded = load_config(config)
            block = loaded.get("model") or {}
            self._wanted = {
                **block.get("network", block),
                **(loaded.get("requires") or {}),
            }  # or of a training
            settings = [*_flat(loaded.get("inference") or {}), *settings]
            weights = loaded.get("weights") or (Path(config).stem if Path(config).stem in NAMED else None)
        weights = given[-1] if given else weights
        if weights is None:
            raise ConfigError(f"the config {config} names no weights; add --set weights=FILE")
        self.weights, self._settings = weights, settings
        self._loaded: tuple[str, Model] | None = None

    def model(self, sequence: str) -> Model:
        """The model for a sequence; the last one is kept. Raises WeightsError, ConfigError."""
        weights = self.weights.replace(SEQUENCE, sequence)
        if self._loaded is None or self._loaded[0] != weights:
            model = load_model(weights, device=self._device, dtype=self._dtype, overrides=self._settings)
            _require_same(self._wanted, model.config.model, self.name, weights)
            self._loaded = weights, model
        return self._loaded[1]

    def description(self) -> str:
        """The weights' name and the beginning of the hash of the last ones that were loaded, for a report."""
        if self._loaded is None:
            return self.weights
        about = self._loaded[1].weights
        return f"{self.weights} ({'random' if about['file'] is None else about['sha256'][:8]})"


def _flat(inference: Mapping[str, Any]) -> Iterator[str]:
    """The block as overrides; ``flow`` as a whole, for its keys depend on its type."""
    for name, value in inference.items():
        if isinstance(value, Mapping) and name != "flow":
            yield from (f"inference.{name}.{key}={leaf!r}" for key, leaf in value.items())
        else:
            yield f"inference.{name}={dict(value) if isinstance(value, Mapping) else value!r}"


def _require_same(wanted: Mapping[str, Any], found: Mapping[str, Any], config: str, weights: str) -> None:
    """Raises ConfigError at the first key that both model blocks have and that differs."""
    for key, value in wanted.items():
        if key not in found:
            continue
        if isinstance(value, Mapping) and isinstance(found[key], Mapping):
            _require_same(value, found[key], config, weights)
        elif _plain(value) != _plain(found[key]):
            raise ConfigError(
                f"the config {config} wants a model with {key}={value!r}, but the weights {weights} are of one with "
                f"{key}={found[key]!r}; give others with --set weights=FILE"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
