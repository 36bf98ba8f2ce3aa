"""Flow of an object that moves far. Not in the papers, whose FlowNet2 is made for large displacements.

DIS goes from coarse to fine, and on its coarse pictures a small object that moves by much more than what is around it
is not there: it gets the motion of the background. But an object whose mask is known can be searched for as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyenet.structures import Frame

Window = tuple[slice, slice]
Flow = NDArray[np.float32]
Between = Callable[[Frame, Frame], Tensor]
"""F_{source->target}, (2, H, W), of two pictures."""

OBJECT_SIDE = 20
"""Pixels that the object has a side (the square root of its area) on the pictures on which it is searched for."""
LEAST_AREA = 20
"""Pixels there; less is not searched for."""
REACH = 0.25
"""How far it is searched for, as a share of the frame's sides."""
NEAR = 2
"""Pixels of those pictures within which two displacements are the same."""
SURROUNDINGS = 0.25
"""The share of the object's longer side by which what flow is estimated on goes beyond it."""
BLUR = 11
"""Photometric errors are compared as means over so many pixels a side."""


class Match(NamedTuple):
    """Where an object was found: ``displacement`` (x, y) in pixels of the frame, and how much better its correlation
    is there than where the flow takes it.
    """

    displacement: tuple[float, float]
    gain: float


def flow_of_object(
    now: Frame,
    before: Frame,
    window: Window,
    mask: NDArray[np.bool_],
    flow: Tensor,
    between: Between,
    *,
    margin: float,
) -> Tensor | None:
    """F_{now->before} of one object; None where ``flow`` takes it where it is, or it is too small to tell.

    ``now`` and ``before`` (H, W, 3) uint8, ``mask`` (h, w) the object's in the ``window`` of ``before``, ``flow``
    (2, H, W) F_{now->before} of the frames. The object is found elsewhere if its normalised correlation is higher there
    by more than ``margin``; around there flow is estimated anew, ``between`` these parts, and has the pixels that it
    explains better. Returns (2, H, W) float32.
    """
    base = flow.numpy().transpose(1, 2, 0)
    match = find_object(now, before, window, mask, base)
    if match is None or match.gain <= margin:
        return None
    anew = _estimate_at(now, before, window, match.displacement, base, between)
    return torch.from_numpy(np.ascontiguousarray(anew.transpose(2, 0, 1)))


def find_object(
    now: Frame, before: Frame, window: Window, mask: NDArray[np.bool_], flow: Flow
) -> Match | None:
    """Template matching of what ``mask`` shows of ``before`` in ``now``; ``flow`` is (H, W, 2). None: too small."""
    height, width = before.shape[:2]
    factor = min(1.0, OBJECT_SIDE / max(1.0, float(mask.sum())) ** 0.5)
    w, h = max(1, round(width * factor)), max(1, round(height * factor))
    scale = np.array([width / w, height / h])
    whole = np.zeros((height, width), np.float32)
    whole[window] = mask
    small = cv2.resize(whole, (w, h), interpolation=cv2.INTER_AREA) > 0.5
    if small.sum() < LEAST_AREA:
        return None
    rows, columns = (slice(x.min(), x.max() + 1) for x in np.nonzero(small))
    was, is_now = (
        cv2.resize(x, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) for x in (before, now)
    )
    right, down = int(w * REACH), int(h * REACH)
    beyond = cv2.copyMakeBorder(is_now, down, down, right, right, cv2.BORDER_REPLICATE)
    area = beyond[rows.start : rows.stop + 2 * down, columns.start : columns.stop + 2 * right]
    template, inside = was[rows, columns], small[rows, columns].astype(np.float32)
    found = cv2.matchTemplate(area, template, cv2.TM_CCOEFF_NORMED, mask=inside)  # (2 down + 1, 2 right + 1)
    found = np.where(np.abs(found) <= 1 + 1e-3, found, -1)  # where there is no texture it is anything
    row, column = np.unravel_index(found.argmax(), found.shape)
    x, y = np.round(_moved_by(flow, whole) / scale + np.array([right, down])).astype(int)
    there = found[max(0, y - NEAR) : max(0, y + NEAR + 1), max(0, x - NEAR) : max(0, x + NEAR + 1)]
    moved = (float((column - right) * scale[0]), float((row - down) * scale[1]))
    return Match(moved, float(found.max() - there.max(initial=-1)))


def _moved_by(flow: Flow, mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """(x, y): the median displacement that ``flow`` has where the mask (H, W) is, or comes to be."""
    here = (mask >= 0.5) | (_warp(mask, flow) >= 0.5)
    return -np.median(flow[here], axis=0)


def _estimate_at(
    now: Frame,
    before: Frame,
    window: Window,
    displacement: tuple[float, float],
    flow: Flow,
    between: Between,
) -> Flow:
    """``flow`` (H, W, 2), anew where what was in ``window`` has moved by ``displacement``, where that explains more."""
    sides = [axis.stop - axis.start for axis in window]
    beyond = int(SURROUNDINGS * max(sides)) + BLUR
    shift = [round(displacement[1]), round(displacement[0])]  # rows, columns
    place = tuple(
        slice(max(0, axis.start + d - beyond, d), min(n, axis.stop + d + beyond, n + d))
        for axis, d, n in zip(window, shift, now.shape, strict=False)
    )
    if any(axis.stop - axis.start < 2 * BLUR for axis in place):
        return flow  # all but outside the frame
    was = tuple(slice(axis.start - d, axis.stop - d) for axis, d in zip(place, shift, strict=True))
    anew = between(now[place], before[was]).numpy().transpose(1, 2, 0) - np.array(shift[::-1], np.float32)
    corner = place[0].start, place[1].start
    errors = [_errors(now[place], before, candidate, corner) for candidate in (flow[place], anew)]
    whole = flow.copy()
    whole[place] = np.where((errors[1] < errors[0])[..., None], anew, flow[place])
    return whole


def _errors(now: Frame, before: Frame, flow: Flow, corner: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w): photometric errors of a part of a frame whose first pixel is ``corner`` (y, x), as means over squares."""
    difference = np.abs(now.astype(np.float32) - _warp(before, flow, corner)).mean(axis=-1)
    return cv2.blur(difference, (BLUR, BLUR))


def _warp(
    picture: NDArray[np.uint8] | NDArray[np.float32], flow: Flow, corner: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    """``picture`` (H, W[, C]) where ``flow`` (h, w, 2), whose first pixel is ``corner``, points; edges go on."""
    grid = np.indices(flow.shape[:2], np.float32)
    x, y = grid[1] + corner[1] + flow[..., 0], grid[0] + corner[0] + flow[..., 1]
    sampled = cv2.remap(np.asarray(picture), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled.astype(np.float32)
