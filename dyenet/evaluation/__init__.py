"""Scores, benchmarks and the papers' experiments; these three functions are the commands of the same names.

They are imported when asked for: ``evaluate`` needs no network.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyenet.evaluation.benchmarking import benchmark
    from dyenet.evaluation.experiments import experiment
    from dyenet.evaluation.scoring import evaluate

__all__ = ["benchmark", "evaluate", "experiment"]

_MODULES = {"benchmark": "benchmarking", "evaluate": "scoring", "experiment": "experiments"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
