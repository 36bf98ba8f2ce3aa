"""VS-ReID's schedule (Algorithms 1 to 3 of the paper) over the ``Propagator`` and ``Retriever`` protocols.

Everything is first propagated from the given masks. Then, round by round, the single best missing instance of
the whole video is retrieved, its mask recovered and propagated both ways; a checkpoint per mask keeps a mask
from being overwritten by one that comes from farther away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import box_iou

from dyenet.inference.checkpointed_config import CheckpointedConfig
from dyenet.inference.checkpointed_masks import NEVER, CheckpointedMasks
from dyenet.inference.protocols import Propagator, Retriever
from dyenet.inference.stopwatch import Stopwatch
from dyenet.structures import (
    MaskPatches,
    MaskTube,
    PropagationState,
    StartingPoint,
    Template,
    Tracklet,
    enlarge_boxes,
)

ProgressCallback = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True)
class Round:
    """What one starting point did: number 0 for the given masks, 1, 2, ... for the retrievals in their order.

    ``box`` (x0, y0, x1, y1) is the retrieved box, or the given mask's; ``overwritten`` the frames written by
    propagation that still stood after it, ascending; ``checkpoints`` c_(i,k) of the object after the round, None
    where no pass has been.
    """

    number: int
    object_id: int
    frame: int
    similarity: float
    box: tuple[float, float, float, float]
    overwritten: list[int]
    checkpoints: list[int | None]


@dataclass(frozen=True)
class CheckpointedResult:
    """``tubes`` by object id and the ``rounds`` in their order.

    A tube has one tracklet per starting point, which holds the masks of it that still stand in the end.
    """

    tubes: dict[int, MaskTube]
    rounds: list[Round]


def run_checkpointed(
    *,
    num_frames: int,
    image_size: tuple[int, int],
    given: Sequence[StartingPoint],
    templates: Sequence[Template],
    retriever: Retriever,
    propagator: Propagator,
    config: CheckpointedConfig,
    progress: ProgressCallback | None = None,
    stopwatch: Stopwatch | None = None,
) -> CheckpointedResult:
    """Algorithm 3. ``image_size`` is (H, W); ``given`` masks may lie in any frame, several per object too.

    With masks given in other frames than the first, "frame 1" reads "the nearest given frame": the first pass
    goes both ways from each under the checkpoint rule, and given masks are never overwritten. Every given object
    needs at least one template. ``stopwatch`` books the stages "propagate" and "retrieve".
    """
    config, stopwatch = config.resolved(), stopwatch or Stopwatch()
    schedule = _Schedule(num_frames, image_size, given, templates, retriever, propagator, config, progress)
    with stopwatch("propagate"):
        schedule.first_pass()
    limit = num_frames * len(schedule.masks.object_ids) if config.max_rounds is None else config.max_rounds
    for number in range(1, limit + 1):
        with stopwatch("retrieve"):
            retrieval = schedule.retrieve()
        if retrieval is None:
            break
        with stopwatch("propagate"):
            schedule.refine(retrieval, number)
        schedule.report("rounds", number, number + 1)
    schedule.report("rounds", len(schedule.rounds), len(schedule.rounds))
    return CheckpointedResult(schedule.masks.tubes, schedule.rounds)


@dataclass(frozen=True)
class _Matches:
    """One frame's candidate ``boxes`` (M, 4), each object's ``similarities`` (K, M) to them (the highest over its
    templates) and which of its ``templates`` (K, M) that was."""

    frame: int
    boxes: Tensor
    similarities: Tensor
    templates: Tensor


@dataclass(frozen=True)
class _Retrieval:
    """x_hat, s_hat, i_hat and k_hat of Algorithm 3 and the template that matched."""

    object_id: int
    frame: int
    box: Tensor
    similarity: float
    template: Template


@dataclass
class _Leg:
    """One starting point on its way in one direction: where it stands, and where it must end (exclusive)."""

    tracklet: Tracklet
    smallest_area: float
    end: int
    entry: StartingPoint
    frame: int
    ended: bool = False

    @property
    def origin(self) -> int:
        return self.tracklet.start.frame


class _Schedule:
    def __init__(
        self,
        num_frames: int,
        image_size: tuple[int, int],
        given: Sequence[StartingPoint],
        templates: Sequence[Template],
        retriever: Retriever,
        propagator: Propagator,
        config: CheckpointedConfig,
        progress: ProgressCallback | None,
    ) -> None:
        self.num_frames, self.image_size, self.config = num_frames, image_size, config
        self.given = sorted(given, key=lambda point: (point.frame, point.object_id))
        self.retriever, self.propagator = retriever, propagator
        self.report: ProgressCallback = progress or (lambda stage, done, total: None)
        self.masks = CheckpointedMasks(num_frames, self.given, config)
        self.templates = {k: [t for t in templates if t.object_id == k] for k in self.masks.object_ids}
        self.rounds: list[Round] = []
        self._matches: list[_Matches] | None = None

    # Lines 4 to 9

    def first_pass(self) -> None:
        """Carries every given mask forward and backward, all objects in one batch."""
        tracklets = [self._found(point) for point in self.given]
        areas = [float(point.patch.areas()) for point in self.given]
        forward = self.num_frames - 1 - min(point.frame for point in self.given)
        total = forward + max(point.frame for point in self.given)
        self._propagate(tracklets, areas, 1, lambda steps: self.report("propagate", steps, total))
        self._propagate(tracklets, areas, -1, lambda steps: self.report("propagate", forward + steps, total))
        self.report("propagate", total, total)
        if self.config.initial_checkpoint == "given":
            self.masks.fill_unreached()
        for tracklet in tracklets:
            self._record(0, tracklet, tracklet.start.patch.tight_boxes()[0])

    # Lines 11 to 18 and Algorithm 2

    def retrieve(self) -> _Retrieval | None:
        """The most similar candidate of the whole video that some object needs; None if there is none."""
        best: _Retrieval | None = None
        for found in self._match_all():
            for row, object_id in enumerate(self.masks.object_ids):
                candidate = int(found.similarities[row].argmax())  # j_hat: the best candidate, needed or not
                similarity = float(found.similarities[row, candidate])
                if similarity <= (best.similarity if best else self.config.similarity_threshold):
                    continue
                if self.masks.checkpoints[object_id][found.frame] == found.frame:
                    continue
                box = found.boxes[candidate]
                if self._needed(row, found.frame, box, found.similarities[:, candidate]):
                    template = self.templates[object_id][int(found.templates[row, candidate])]
                    best = _Retrieval(object_id, found.frame, box, similarity, template)
        return best

    def _match_all(self) -> list[_Matches]:
        """The searched frames that have a candidate; the same in every round, so computed once."""
        if self._matches is None:
            self._matches = []
            searched = self.num_frames if self.config.search_last_frame else self.num_frames - 1
            for frame in range(searched):
                self.report("retrieve", frame + 1, searched)
                if all(frame in frames for frames in self.masks.given_frames.values()):
                    continue
                candidates = self.retriever.candidates(frame)
                if len(candidates) == 0:
                    continue
                embeddings = candidates.embeddings.float()  # (M, D)
                best = [
                    (torch.stack([t.embedding.float() for t in self.templates[k]]) @ embeddings.T).max(0)
                    for k in self.masks.object_ids
                ]
                similarities, indices = (
                    torch.stack(rows).cpu() for rows in zip(*best, strict=True)
                )  # (K, M)
                self._matches.append(_Matches(frame, candidates.boxes.float().cpu(), similarities, indices))
        return self._matches

    def _needed(self, row: int, frame: int, box: Tensor, similarities: Tensor) -> bool:
        """Whether object ``row`` should be retrieved at ``box``; ``similarities`` (K,) are the box's to each."""
        overlaps = box_iou(box[None], self.masks.boxes(frame))[0]  # (K,)
        if self.config.needed_when == "inconsistent":  # line 7 of Algorithm 2
            return float(overlaps[row]) < self.config.occlusion_iou
        present = self.masks.present(frame)
        taken = bool((overlaps[present] > self.config.occlusion_iou).any())
        wanted = bool((similarities[~present] > similarities[row]).any())
        return not (bool(present[row]) or taken or wanted)

    # Lines 20 to 30

    def refine(self, retrieval: _Retrieval, number: int) -> None:
        """Recovers the retrieved mask and propagates it both ways under the checkpoint rule."""
        object_id, frame = retrieval.object_id, retrieval.frame
        patch = self._recover(retrieval)
        origin = frame if self.config.mark_recovered else None
        self.masks.write(object_id, frame, patch, origin)
        if self.config.joint_iterations:
            self.masks.erase_others(object_id, frame)
            self._refine_jointly(object_id, frame)
            patch = self.masks.tubes[object_id].patches.get(frame, patch)
        given = self.templates[object_id][0]
        start = StartingPoint(object_id, frame, patch, retrieval.similarity, template=given)
        tracklet = self._found(start)
        if patch.areas().item() > 0:
            area = float(retrieval.template.patch.areas())
            self._propagate([tracklet], [area], 1)
            self._propagate([tracklet], [area], -1)
        self._record(number, tracklet, retrieval.box)

    def _recover(self, retrieval: _Retrieval) -> MaskPatches:
        """Line 22, repeated ``recover_iterations`` times with its own output as the guide."""
        template = retrieval.template
        for _ in range(self.config.recover_iterations or 1):
            patch = self.propagator.recover(retrieval.frame, retrieval.box[None], [template])
            template = replace(template, frame=retrieval.frame, patch=patch)
        return template.patch

    def _refine_jointly(self, object_id: int, frame: int) -> None:
        """Recovers the object and those its enlarged box meets together, each guided by its P / Z (released code)."""
        ratio, ids = self.config.box_enlargement, self.masks.object_ids
        for _ in range(self.config.joint_iterations or 0):
            boxes = enlarge_boxes(self.masks.boxes(frame), ratio, self.image_size)  # (K, 4)
            meets = box_iou(boxes[ids.index(object_id)][None], boxes)[0] > 0
            rows = [r for r, k in enumerate(ids) if meets[r] and frame not in self.masks.given_frames[k]]
            if not rows:
                return
            guides = []
            for row in rows:
                patch = self.masks.tubes[ids[row]].patches[frame]
                guide = MaskPatches(patch.boxes, self.masks.joint(ids[row], frame)[0])
                guides.append(replace(self.templates[ids[row]][0], frame=frame, patch=guide))
            refined = self.propagator.recover(frame, boxes[rows], guides)
            for index, row in enumerate(rows):
                self.masks.revise(ids[row], frame, refined[index])

    # Algorithm 1, from frame to frame

    def _propagate(
        self,
        tracklets: list[Tracklet],
        areas: list[float],
        direction: int,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        """Carries the tracklets' starts in one direction, all in one batch, writing masks and checkpoints."""
        legs = []
        for tracklet, area in zip(tracklets, areas, strict=True):
            start = tracklet.start
            end = self._end(start, direction)
            legs.append(_Leg(tracklet, area * self.config.min_area_ratio, end, start, start.frame))
        while legs:
            legs = self._propagate_together(legs, direction, on_step)

    def _end(self, start: StartingPoint, direction: int) -> int:
        """The frame before which a starting point's propagation ends."""
        border = self.num_frames if direction == 1 else -1
        if self.config.propagate_until == "present" and not start.given:
            row = self.masks.object_ids.index(start.object_id)
            for frame in range(start.frame + direction, border, direction):
                if self.masks.present(frame)[row]:
                    return frame
        return border

    def _propagate_together(
        self, legs: list[_Leg], direction: int, on_step: Callable[[int], None] | None
    ) -> list[_Leg]:
        """Steps all legs until each has ended; returns those that go on behind frames they had to skip."""
        resumed: list[_Leg] = []
        state: PropagationState | None = None
        steps = 0
        while True:
            rows = [r for r, leg in enumerate(legs) if self._goes_on(leg, direction, resumed)]
            if not rows:
                break
            if state is None:
                state = self.propagator.begin([legs[r].entry for r in rows])
            elif len(rows) < len(legs):
                state = state.select(rows)
            legs = [legs[r] for r in rows]
            state = self.propagator.step(state, [leg.frame + direction for leg in legs])
            for row, leg in enumerate(legs):
                leg.frame += direction
                patch = state.patches[row]
                leg.ended = patch.areas().item() == 0
                if self.masks.write(leg.tracklet.object_id, leg.frame, patch, leg.origin):
                    leg.tracklet.patches[leg.frame] = patch
            steps += 1
            if on_step:
                on_step(steps)
        return resumed

    def _goes_on(self, leg: _Leg, direction: int, resumed: list[_Leg]) -> bool:
        """Whether ``leg`` may take its next frame; a leg that skips frames is put on ``resumed`` instead."""
        object_id, target = leg.tracklet.object_id, leg.frame + direction
        if target == leg.end or leg.ended:
            return False
        if leg.frame != leg.origin and self.masks.area(object_id, leg.frame) < leg.smallest_area:
            return False  # V14: lost
        if self.masks.may_write(object_id, target, leg.origin):
            return True
        if self.config.on_checkpoint == "continue":
            while target != leg.end and not self.masks.may_write(object_id, target, leg.origin):
                target += direction
            before = target - direction
            patch = self.masks.tubes[object_id].patches.get(before)
            if target != leg.end and patch is not None:
                entry = StartingPoint(
                    object_id,
                    before,
                    patch,
                    leg.tracklet.similarity,
                    template=self.templates[object_id][0],
                )
                resumed.append(replace(leg, entry=entry, frame=before))
        return False

    def _found(self, start: StartingPoint) -> Tracklet:
        """A new tracklet of the object's tube."""
        tracklet = Tracklet(start, {start.frame: start.patch})
        self.masks.tubes[start.object_id].tracklets.append(tracklet)
        return tracklet

    def _record(self, number: int, tracklet: Tracklet, box: Tensor) -> None:
        start = tracklet.start
        x0, y0, x1, y1 = box.tolist()
        self.rounds.append(
            Round(
                number,
                start.object_id,
                start.frame,
                start.similarity,
                (x0, y0, x1, y1),
                sorted(set(tracklet.patches) - {start.frame}),
                [None if c == NEVER else int(c) for c in self.masks.checkpoints[start.object_id]],
            )
        )
