"""Masks drawn over frames, and several frames as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dyenet.structures import Frame


def overlay(
    frame: Frame, labels: NDArray[np.uint8], palette: NDArray[np.uint8], *, alpha: float = 0.5
) -> Frame:
    """A copy of ``frame`` (H, W, 3) with every object tinted, and outlined, in its colour.

    ``labels`` (H, W) uint8: 0, which stays as it is, and object ids; ``palette`` (256, 3) uint8 RGB; ``alpha`` in
    [0, 1]: how much of the colour lies over the object; its outline, inside the object, is the colour itself.
    """
    if labels.shape != frame.shape[:2]:
        raise ValueError(f"labels of shape {labels.shape} do not fit a frame of shape {frame.shape}")
    colours = palette[labels]  # (H, W, 3)
    tinted = cv2.addWeighted(frame, 1 - alpha, colours, alpha, 0)
    inside = labels > 0
    out = np.where(inside[..., None], tinted, frame)
    outline = _outline(labels, width=max(1, round(min(labels.shape) / 240))) & inside
    out[outline] = colours[outline]
    return out


def _outline(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """(H, W): pixels that have another label within ``width`` pixels."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)


def contact_sheet(frames: Sequence[Frame], columns: int, *, gap: int = 4) -> Frame:
    """Frames of one size in rows of ``columns``, ``gap`` white pixels between them, as one RGB picture."""
    if not frames or columns < 1:
        raise ValueError(f"{len(frames)} frames in {columns} columns make no picture")
    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    return sheet
