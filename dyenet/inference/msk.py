"""MSK behind the ``Propagator`` protocol: the full frame and the previous mask, without flow or boxes (reading D27)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.vsreid import frame_tensor
from dyenet.inference.vsreid_config import VSReIDConfig
from dyenet.models.baselines.msk import MSK
from dyenet.structures import (
    KEPT_DTYPE,
    MaskPatches,
    PropagationState,
    StartingPoint,
    Template,
    Video,
    cell_centres,
    enlarge_boxes,
    mask_boxes,
)


class MSKPropagator:
    """The network sees whole frames; what it gives is kept in the box of P > 0.5, enlarged, as every mask is."""

    def __init__(
        self, network: MSK, video: Video, config: VSReIDConfig, stopwatch: Stopwatch | None = None
    ) -> None:
        self._network, self._video, self._config = network, video, config
        self._device = network.mean.device
        self._stopwatch = stopwatch or Stopwatch()
        self.patches_run = 0

    def meet(self, given: Sequence[StartingPoint]) -> None:
        """An object's masks do not depend on the others'."""

    def begin(self, starting_points: Sequence[StartingPoint]) -> PropagationState:
        """The masks themselves: nothing else is carried on."""
        return PropagationState(
            [p.frame for p in starting_points],
            [p.object_id for p in starting_points],
            MaskPatches.cat([p.patch.to("cpu", KEPT_DTYPE) for p in starting_points]),
        )

    @torch.no_grad()
    def step(self, state: PropagationState, targets: Sequence[int]) -> PropagationState:
        """Every row's mask on the frame it goes to; an empty mask stays empty."""
        found = []
        for row, target in enumerate(targets):
            masks = state.patches[row].to(self._device, torch.float32).paste(*self._video.size) >= 0.5
            if not masks.any():
                found.append(MaskPatches.empty(self._config.mask_size, 1).to("cpu", KEPT_DTYPE))
                continue
            maps = self._segment(target, masks)
            tight = mask_boxes(maps > 0.5)
            found.append(
                self._kept(maps, enlarge_boxes(tight, self._config.box_enlargement, self._video.size))
            )
        return PropagationState(list(targets), list(state.object_ids), MaskPatches.cat(found))

    @torch.no_grad()
    def recover(self, frame: int, boxes: Tensor, templates: Sequence[Template]) -> MaskPatches:
        """The template's mask, put into the box, stands for the previous mask."""
        found = []
        for box, template in zip(boxes.to(self._device, torch.float32), templates, strict=True):
            patch = template.patch.to(self._device, torch.float32)
            place = box[None] if template.frame == frame else patch.tight_boxes()
            guide = MaskPatches(box[None], patch.sample(cell_centres(place, self._config.mask_size)))
            found.append(self._kept(self._segment(frame, guide.paste(*self._video.size) >= 0.5), box[None]))
        return MaskPatches.cat(found)

    def _segment(self, frame: int, masks: Tensor) -> Tensor:
        """(1, H, W) bool -> (1, H, W) probabilities."""
        image = frame_tensor(self._video, frame, self._device)[None].to(self._network.mean.dtype)
        with self._stopwatch("network"):
            self.patches_run += 1
            return self._network(image, masks.to(image.dtype)).float()

    def _kept(self, maps: Tensor, boxes: Tensor) -> MaskPatches:
        return MaskPatches.from_maps(maps, boxes, self._config.mask_size).to("cpu", KEPT_DTYPE)
