"""``dyenet evaluate``, ``dyenet benchmark`` and ``dyenet experiment``."""

from __future__ import annotations


def evaluate() -> None:
    """Score a folder of predicted masks: J, F and G as the data set defines them."""


def benchmark() -> None:
    """Run a model over a data set, resumable, and score it."""


def experiment() -> None:
    """Run one of the papers' tables or figures, and print the paper's numbers beside ours."""
