"""The precision a machine trains in: bf16 where it is fast, float32 elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from dyenet.errors import ConfigError
from dyenet.machine import is_fast_at_bfloat16
from dyenet.registry import OPTIM_WRAPPERS

Precision = Literal["auto", "float32", "bfloat16"]


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """mmengine's OptimWrapper under bf16 autocast on the model's device, a CPU included.

    (mmengine's own AMP wrapper refuses a CPU.) Parameters and gradients stay float32; bf16 needs no loss scale.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def optim_wrapper_config(config: dict[str, Any], precision: Precision) -> dict[str, Any]:
    """The ``optim_wrapper`` block with its type chosen by ``precision`` ("auto" looks at the machine).

    Raises ConfigError for any other precision.
    """
    if precision not in get_args(Precision):
        allowed = ", ".join(map(repr, get_args(Precision)))
        raise ConfigError(f"config key 'precision' is {precision!r}; it may be {allowed}")
    if precision == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        precision = "bfloat16" if is_fast_at_bfloat16(device) else "float32"
    return {**config, "type": "AutocastOptimWrapper" if precision == "bfloat16" else "OptimWrapper"}
