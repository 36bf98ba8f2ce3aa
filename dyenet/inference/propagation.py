"""Propagation: starting points are extended both ways to tracklets (Sec. 3.2)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

from dyenet.inference.config import PropagationConfig
from dyenet.inference.protocols import Propagator
from dyenet.structures import MaskPatches, PropagationState, StartingPoint, Tracklet, patch_iou

GivenFrames = Set[tuple[int, int]]
"""(object id, frame) wherever a mask is given: propagation of that object ends there."""


def propagate(
    starting_points: Sequence[StartingPoint],
    existing: Sequence[Tracklet],
    propagator: Propagator,
    num_frames: int,
    config: PropagationConfig,
    progress: Callable[[int, int], None] | None = None,
    verify: Callable[[Tracklet], None] | None = None,
) -> list[Tracklet]:
    """The new tracklets of ``starting_points``, which are in their order: highest similarity first. ``verify`` may
    shorten each before others are compared with it.

    ``progress`` is called with (done, total), counted in frames times starting points.

    The paper takes them one after another. Here they are taken in waves, the first of each object that is not
    skipped, all in one batch, the given ones before the others. The skip rule looks only at tracklets of the same
    object, so the result is the same, but for ``config.competition``: masks of one wave share out their frames.
    """
    tracklets: defaultdict[int, list[Tracklet]] = defaultdict(list)
    for tracklet in existing:
        tracklets[_scope(tracklet.object_id, config)].append(tracklet)
    room = {point.object_id: config.max_passes * num_frames for point in starting_points}
    given = {(p.object_id, p.frame) for p in [*starting_points, *(t.start for t in existing)] if p.given}
    total, done, new = len(starting_points) * num_frames, 0, []

    def tick(step: int) -> None:
        if progress is not None:
            progress(min(total, done + step), total)

    for wave, waiting in _waves(starting_points, tracklets, room, config):
        extended = extend(
            [point for _, point in wave],
            propagator,
            num_frames,
            config,
            given=given,
            earlier=[tracklets[key] for key, _ in wave],
            tick=tick,
        )
        for (key, point), tracklet in zip(wave, extended, strict=True):
            if verify is not None:
                verify(tracklet)
            tracklets[key].append(tracklet)
            room[point.object_id] -= 0 if point.given else len(tracklet.patches)
            new.append(tracklet)
        done = total - num_frames * waiting
    done = total
    tick(0)
    return sorted(new, key=lambda t: (not t.start.given, -t.similarity))


def _scope(object_id: int, config: PropagationConfig) -> int:
    """Starting points and tracklets of one scope skip one another."""
    return 0 if config.skip_scope == "any_object" else object_id


def _waves(
    starting_points: Sequence[StartingPoint],
    tracklets: Mapping[int, Sequence[Tracklet]],
    room: Mapping[int, float],
    config: PropagationConfig,
) -> Iterator[tuple[list[tuple[int, StartingPoint]], int]]:
    """The next starting point of every scope, with the scope, and how many wait behind them; the given ones first.
    ``tracklets``, by scope, and ``room`` are looked at as they are when a wave is asked for.
    """
    kinds = [[p for p in starting_points if p.given], [p for p in starting_points if not p.given]]
    later = len(starting_points)
    for points in kinds:
        later -= len(points)
        queues: dict[int, deque[StartingPoint]] = {}
        for point in points:
            queues.setdefault(_scope(point.object_id, config), deque()).append(point)
        while True:
            found = [(key, _next(queue, tracklets[key], room, config)) for key, queue in queues.items()]
            wave = [(key, point) for key, point in found if point is not None]
            if not wave:
                break
            yield wave, later + sum(map(len, queues.values()))


def _next(
    queue: deque[StartingPoint],
    tracklets: Sequence[Tracklet],
    room: Mapping[int, float],
    config: PropagationConfig,
) -> StartingPoint | None:
    """The first starting point that is neither skipped nor beyond its object's bound; given ones always count."""
    while queue:
        point = queue.popleft()
        if point.given:
            return point
        if room[point.object_id] > 0 and not is_covered(point.frame, point.patch, tracklets, config.skip_iou):
            return point
    return None


def is_covered(frame: int, patch: MaskPatches, tracklets: Sequence[Tracklet], skip_iou: float) -> bool:
    """Whether a mask highly overlaps a mask of these tracklets in its frame (reading D15)."""
    masks = [t.patches[frame] for t in tracklets if frame in t.patches]
    return any(patch_iou(patch, mask).item() >= skip_iou for mask in masks)


def extend(
    starting_points: Sequence[StartingPoint],
    propagator: Propagator,
    num_frames: int,
    config: PropagationConfig,
    *,
    given: GivenFrames = frozenset(),
    earlier: Sequence[Sequence[Tracklet]] = (),
    tick: Callable[[int], None] | None = None,
) -> list[Tracklet]:
    """One tracklet per starting point, all of them and both directions in one batch.

    A row ends at the video's ends, before a frame where the object's mask is given, when its mask is empty or
    smaller than ``min_area_ratio`` of the starting mask, and where it meets one of the tracklets that came ``earlier``
    (a list of them per starting point). ``tick`` is called with the steps done so far.
    """
    tracklets = [Tracklet(point, {point.frame: point.patch}) for point in starting_points]
    least = [config.min_area_ratio * point.patch.areas().item() for point in starting_points]
    begun = propagator.begin(starting_points)
    rows = list(range(len(starting_points))) * 2  # whose tracklet each row extends
    steps = [1] * len(starting_points) + [-1] * len(starting_points)
    state = begun.select(rows)
    for done in range(1, num_frames + 1):
        keep = []
        for position, (frame, step) in enumerate(zip(state.frames, steps, strict=True)):
            target = frame + step
            if 0 <= target < num_frames and (state.object_ids[position], target) not in given:
                keep.append(position)
        if not keep:
            break
        rows, steps = [rows[k] for k in keep], [steps[k] for k in keep]
        state = state.select(keep)
        state = propagator.step(state, [f + s for f, s in zip(state.frames, steps, strict=True)])
        areas = state.patches.areas().tolist()
        alive = [k for k, area in enumerate(areas) if area > 0 and area >= least[rows[k]]]
        if config.stop_on_meeting and earlier:
            alive = [
                k for k in alive if not _meets(state, k, starting_points[rows[k]], earlier[rows[k]], config)
            ]
        rows, steps, state = [rows[k] for k in alive], [steps[k] for k in alive], state.select(alive)
        for k, row in enumerate(rows):
            tracklets[row].patches[state.frames[k]] = state.patches[k]
        if tick is not None:
            tick(done)
    return tracklets


def _meets(
    state: PropagationState,
    row: int,
    start: StartingPoint,
    earlier: Sequence[Tracklet],
    config: PropagationConfig,
) -> bool:
    return not start.given and is_covered(state.frames[row], state.patches[row], earlier, config.skip_iou)
