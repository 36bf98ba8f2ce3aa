"""dyenet: semi-supervised video object segmentation with re-identification and mask propagation.

import dyenet
model = dyenet.load_model("small")
with dyenet.VideoSession(model, dyenet.open_video("clip.mp4")) as session:
    session.add_masks(0, index_mask)
    result = session.run()
    labels = result.labels(10)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyenet.data.video_io import open_video
    from dyenet.inference.loading import load_model
    from dyenet.inference.session import VideoSession
    from dyenet.structures import ArrayVideo

__version__ = "0.1.0"

_EXPORTS = {
    "ArrayVideo": "dyenet.structures",
    "VideoSession": "dyenet.inference.session",
    "load_model": "dyenet.inference.loading",
    "open_video": "dyenet.data.video_io",
}

__all__ = ["ArrayVideo", "VideoSession", "__version__", "load_model", "open_video"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:  # imported on first use, so that ``import dyenet`` is cheap
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'dyenet' has no attribute '{name}'")
