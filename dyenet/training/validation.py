"""The mean J of whole videos, through the same inference that users run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyenet.data.clips_files import AnnotatedVideo, find_videos, read_picture
from dyenet.errors import InputError
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
    for video in choose_videos(root, split, sequences):
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


def choose_videos(root: str, split: str, sequences: Sequence[str] | None = None) -> list[AnnotatedVideo]:
    """The videos of a DAVIS tree to validate on. Raises InputError for a name that the split lacks."""
    videos = {video.name: video for video in find_videos(root, split)}
    unknown = sorted(set(sequences or ()) - set(videos))
    if unknown:
        raise InputError(f"validation sequences {', '.join(unknown)} are not in the split {split} of {root}")
    return [video for name, video in videos.items() if sequences is None or name in sequences]


def _jaccard(predicted: np.ndarray, true: np.ndarray) -> float:
    union = (predicted | true).sum()
    return float((predicted & true).sum() / union) if union else 1.0
