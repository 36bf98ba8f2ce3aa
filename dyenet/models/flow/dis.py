"""Dense inverse search (Kroeger et al., ECCV 2016) through OpenCV: the default."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyenet.errors import ConfigError
from dyenet.registry import FLOWS
from dyenet.structures import Frame, Video

Preset = Literal["ultrafast", "fast", "medium", "finest"]
"""The first three are OpenCV's 0, 1 and 2."""

SMALLEST_SIDE = 16
"""DIS needs patches of 8 pixels on a pyramid; smaller pictures are enlarged to this."""


def dis_flow(
    source_image: Frame, target_image: Frame, preset: Preset = "medium", *, scale: float = 1.0
) -> NDArray[np.float32]:
    """F_{source->target} of two RGB uint8 (H, W, 3) images -> (2, H, W) float32, pixels of the full image.

    ``scale`` below 1 estimates on pictures shrunk by it and enlarges the flow again: quicker, blurrier.
    """
    height, width = source_image.shape[:2]
    w, h = max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale))
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (source_image, target_image)]
    if (h, w) != (height, width):
        grey = [cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA) for image in grey]
    # A new object per call: DIS keeps buffers between calls and may not be shared by threads.
    estimator = cv2.DISOpticalFlow.create(min(get_args(Preset).index(preset), 2))
    if preset == "finest":  # "medium" ends at half the pictures' size, with half as many iterations
        estimator.setFinestScale(0)
        estimator.setGradientDescentIterations(50)
        estimator.setVariationalRefinementIterations(10)
    flow = estimator.calc(grey[0], grey[1], None)  # type: ignore[call-overload]  # (h, w, 2)
    if (h, w) != (height, width):
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([width / w, height / h], np.float32)
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


@FLOWS.register_module()
class DISFlow:
    """OpenCV's DIS. ``preset`` "medium" is its most exact; "ultrafast" takes a seventh of its time, "finest" six times
    as long.
    """

    def __init__(self, *, preset: Preset = "medium", scale: float = 1.0) -> None:
        if preset not in get_args(Preset):
            raise ConfigError(
                f"flow.preset is {preset!r}; it may be {', '.join(map(repr, get_args(Preset)))}"
            )
        if not 0 < scale <= 1:
            raise ConfigError(f"flow.scale is {scale}; it must be above 0 and at most 1")
        self.preset: Preset = preset
        self.scale = scale

    def estimate(self, video: Video, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32."""
        return self.between(video[source], video[target])

    def between(self, source_image: Frame, target_image: Frame) -> Tensor:
        """F_{source->target} of two RGB uint8 (H, W, 3) images -> (2, H, W) float32."""
        return torch.from_numpy(dis_flow(source_image, target_image, self.preset, scale=self.scale))
