"""Which frames and objects of each data set are scored, and what is averaged: one row each (docs/evaluation.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dyenet.errors import InputError

Unit = Literal["objects", "sequences", "classes"]
"""Of what the mean is taken: a sequence is the mean of its objects, a class the mean of its sequences."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a data set is scored. The first annotated frame that shows an object is given, and never scored.

    * ``drop_last``: the last annotated frame is not scored either.
    * ``binary``: all that is not 0 in a prediction is the one object.
    * ``all_ids``: the objects are 1 to the highest id of the first annotated frame, as in the official code of
      DAVIS 2017; else the ids that it shows.
    * ``late_objects``: an object that first appears later is scored after the frame in which it is given.
    * ``headline``: the average that "global" is; ``other_averages`` are reported beside it.
    """

    drop_last: bool = False
    binary: bool = False
    all_ids: bool = False
    late_objects: bool = False
    headline: Unit = "objects"
    other_averages: tuple[Unit, ...] = ()


PROTOCOLS: dict[str, Protocol] = {
    "davis2016": Protocol(drop_last=True, binary=True, headline="sequences"),
    "davis2017": Protocol(drop_last=True, all_ids=True),
    "synthetic": Protocol(drop_last=True, late_objects=True),
    "composites": Protocol(drop_last=True, late_objects=True),
    # No official code: every object is a sequence of its own, as in OnAVOS; the papers say "over instances".
    "segtrackv2": Protocol(other_averages=("sequences",)),
    # Voigtlaender's evaluation takes the mean over classes; the papers say "over instances", one per video.
    "youtube-objects": Protocol(binary=True, headline="sequences", other_averages=("classes",)),
    "youtube-vos": Protocol(late_objects=True),
}


def protocol_of(dataset: str) -> Protocol:
    """The protocol of a data set by its name; InputError if it has no videos with masks."""
    if dataset not in PROTOCOLS:
        raise InputError(
            f"there is no protocol for the data set {dataset!r}; there are {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[dataset]
