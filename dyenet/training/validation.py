"""The mean J of whole videos, through the same inference that users run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyenet.data.clips_files import find_videos, read_picture
from dyenet.inference.loading import load_model
from dyenet.inference.session import VideoSession
from dyenet.structures import ArrayVideo


def validate(
    weights: str | Path,
    root: str,
    split: str,
    sequences: Sequence[str] | None = None,
    max_frames: int | None = None,
) -> dict[str, float]:
    """J averaged over the objects and frames (all but the first and the last) of each sequence."""
    model = load_model(weights)
    scores = {}
    for video in find_videos(root, split):
        if sequences is not None and video.name not in sequences:
            continue
        count = min(len(video.images), max_frames or len(video.images))
        frames = [read_picture(path) for path in video.images[:count]]
        with VideoSession(model, ArrayVideo(frames)) as session:
            first = video.mask(0)
            session.add_masks(0, np.where(first == 255, 0, first))
            result = session.run()
            values = [
                _jaccard(result.labels(t) == k, video.mask(t) == k)
                for k in range(1, video.num_objects + 1)
                for t in range(1, count - 1)
            ]
        scores[video.name] = float(np.mean(values))
    return scores


def _jaccard(predicted: np.ndarray, true: np.ndarray) -> float:
    union = (predicted | true).sum()
    return float((predicted & true).sum() / union) if union else 1.0
