"""Scores, benchmarks and the papers' experiments; these three functions are the commands of the same names."""

from dyenet.evaluation.scoring import evaluate

__all__ = ["evaluate"]
