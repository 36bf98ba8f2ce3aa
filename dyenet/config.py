"""Configs: mmengine ``Config`` files, ``--set`` overrides, and strict dataclasses out of their blocks.

A key nobody reads is an error: an override must name a key that the config has, and ``build`` refuses keys
that the dataclass lacks.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config

from dyenet.errors import ConfigError

T = TypeVar("T")


def configs_dir() -> Path:
    """The folder of shipped configs: beside the package in a checkout, inside it when installed."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a config file, a path or one relative to the shipped configs, and applies ``key=value`` overrides.

    Overriding ``data_root`` moves every path of the config that begins with it.

    Raises ConfigError if the file is missing or an override names a key that the config lacks.
    """
    file = Path(path)
    if not file.is_file():
        file = configs_dir() / path
    if not file.is_file() and file.suffix != ".py":
        file = file.with_name(file.name + ".py")
    if not file.is_file():
        raise ConfigError(f"no config at {path}, nor at {configs_dir() / path}")
    config = Config.fromfile(file)
    root = config.get("data_root")
    apply_overrides(config, overrides)
    if root is not None and config.data_root != root:
        _relocate(config._cfg_dict, root, config.data_root)
    return config


def _relocate(node: Any, old: str, new: str) -> None:
    """Puts ``new`` in place of ``old`` at the start of every path: the config was read with the old data root."""
    for key, value in list(node.items() if isinstance(node, Mapping) else enumerate(node)):
        if isinstance(value, str) and (value == old or value.startswith(f"{old}/")):
            node[key] = new + value[len(old) :]
        elif isinstance(value, (Mapping, list)):
            _relocate(value, old, new)


def apply_overrides(config: Config, overrides: Sequence[str]) -> None:
    """Sets ``a.b.c=value`` in place; the value is a Python literal, or a string where it is not one."""
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"'{override}' is not of the form key=value")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        node: Any = config
        *parents, leaf = key.strip().split(".")
        for depth, name in enumerate(parents):
            node = _child(node, name, ".".join(parents[: depth + 1]))
        if parents[-1:] == ["flow"]:  # its arguments depend on its type, and are checked when it is built
            if leaf == "type" and node.get("type") != value:
                node.clear()
        else:
            _child(node, leaf, key)
        node[int(leaf) if isinstance(node, list) else leaf] = value


def _child(node: Any, name: str, where: str) -> Any:
    if isinstance(node, list):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        raise ConfigError(f"'{where}': the list has positions 0 to {len(node) - 1}")
    if not isinstance(node, Mapping) and not hasattr(node, "keys"):
        raise ConfigError(f"'{where}': there is nothing below '{where.rpartition('.')[0]}' in the config")
    if name not in node:
        raise ConfigError(f"unknown config key '{where}'{_hint(name, list(node.keys()))}")
    return node[name]


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(sorted(map(str, known)))}"


def build(cls: type[T], values: Mapping[str, Any] | None, where: str = "") -> T:
    """An instance of the dataclass ``cls`` from a config block; nested dataclasses from nested blocks.

    Raises ConfigError for a key that ``cls`` lacks, and for a ``Literal`` field given another value.
    """
    values = dict(values or {})
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"unknown config key '{where}{key}'{_hint(key, sorted(fields))}")
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            values[key] = build(hint, value, f"{where}{key}.")
        elif typing.get_origin(hint) is typing.Literal and value not in typing.get_args(hint):
            allowed = ", ".join(map(repr, typing.get_args(hint)))
            raise ConfigError(f"config key '{where}{key}' is {value!r}; it may be {allowed}")
        elif not _fits(value, hint):
            name = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)
            raise ConfigError(f"config key '{where}{key}' is {value!r}; it must be {name}")
    return cls(**values)


def values_sha256(values: Mapping[str, Any]) -> str:
    """The SHA-256 of nested settings, whatever their order: equal ones have equal hashes, between runs too."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a plain type; other types are not looked at."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    if not set(kinds) <= {int, float, bool, str, type(None)}:
        return True
    if isinstance(value, bool) or not isinstance(value, int):
        return type(value) in kinds
    return int in kinds or float in kinds
