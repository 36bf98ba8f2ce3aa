"""DyeNet's schedule: retrieve, propagate, link, expand, again until nothing new is found (Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dyenet.inference.config import InferenceConfig
from dyenet.inference.linking import link
from dyenet.inference.propagation import propagate
from dyenet.inference.protocols import Propagator, Retriever
from dyenet.inference.retrieval import Retrieval
from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.templates import expand_templates, initial_templates
from dyenet.inference.verification import Verification, compare
from dyenet.structures import MaskTube, StartingPoint, Template, Tracklet


@dataclass(frozen=True)
class Round:
    """``retrieved`` starting points were found, ``propagated`` of them not skipped; ``added`` are new templates."""

    retrieved: list[StartingPoint]
    propagated: list[Tracklet]
    added: list[Template]


@dataclass(frozen=True)
class IterativeResult:
    """``tubes`` by object id, all ``tracklets`` (those in no tube were rejected), ``templates`` and ``rounds``."""

    tubes: dict[int, MaskTube]
    tracklets: list[Tracklet]
    templates: list[Template]
    rounds: list[Round]


def run_iterative(
    *,
    given: Sequence[StartingPoint],
    num_frames: int,
    propagator: Propagator,
    retriever: Retriever,
    config: InferenceConfig,
    progress: Callable[[str, int, int], None] | None = None,
    stopwatch: Stopwatch | None = None,
) -> IterativeResult:
    """Works through a video from its ``given`` masks, which may lie in any frames.

    Later rounds propagate only starting points that are new, and keep the tracklets of earlier ones.
    """
    stopwatch = stopwatch or Stopwatch()
    retrieval = Retrieval(retriever, propagator, config.retrieval)
    frames = range(0, num_frames, config.retrieval.frame_step)
    with stopwatch("retrieve"):
        templates = initial_templates(given, retriever)
    verify = _verify(templates, retriever, config, stopwatch)
    tracklets: list[Tracklet] = []
    tubes: dict[int, MaskTube] = {}
    rounds: list[Round] = []
    for number in range(1, config.iterative.max_rounds + 1):
        with stopwatch("retrieve"):
            points = retrieval.starting_points(frames, templates, _of("retrieve", number, progress))
        with stopwatch("propagate"):
            new = propagate(
                points if rounds else [*given, *points],
                tracklets,
                propagator,
                num_frames,
                config.propagation,
                _of("propagate", number, progress),
                verify=verify,
            )
        if not new:
            rounds.append(Round(points, [], []))
            break
        tracklets += new
        with stopwatch("link"):
            tubes = link(tracklets, config.linking)
        added = []
        if number < config.iterative.max_rounds:  # templates of the last round would find nobody
            with stopwatch("expand"):
                threshold = config.retrieval.similarity_threshold
                added = expand_templates(tubes, templates, retriever, config.expansion, threshold=threshold)
        rounds.append(Round(points, new, added))
        templates = templates + added
        if not added:
            break
    return IterativeResult(tubes, tracklets, templates, rounds)


def _verify(
    given: Sequence[Template], retriever: Retriever, config: InferenceConfig, stopwatch: Stopwatch
) -> Callable[[Tracklet], None] | None:
    """What is done with every new tracklet; None if nothing asks for its similarities to the ``given`` templates."""
    verification = None if config.verification.min_share is None else Verification(config.verification)
    if verification is None and config.linking.shared_frames != "similar":
        return None

    def verify(tracklet: Tracklet) -> None:
        with stopwatch("verify"):
            another = compare(tracklet, given, retriever)
            if verification is not None:
                verification.cut_where_lost(tracklet, another)

    return verify


def _of(
    stage: str, number: int, progress: Callable[[str, int, int], None] | None
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(f"{stage} {number}", done, total)
