"""VS-ReID's own networks behind the two protocols: Algorithm 1, lines 20 to 22 of Algorithm 3, N_det and N_reid.

Everything handed out lies on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.vsreid_config import VSReIDConfig
from dyenet.models.baselines.vsreid import MaskPropagationNetwork, StreamName, VSReID
from dyenet.models.baselines.warping import cut_picture, normalise_jointly, warp_bilinear, warp_fb_average
from dyenet.models.flow import FlowSource
from dyenet.structures import (
    KEPT_DTYPE,
    Candidates,
    MaskPatches,
    PropagationState,
    StartingPoint,
    Template,
    Video,
    cell_centres,
    enlarge_boxes,
    mask_boxes,
)

Guides = Callable[[int], Tensor]
"""Gives the guides (R, size, size) of R patches for a patch size."""


class VSReIDPropagator:
    """The ``Propagator``: maps are warped along the flow, and N_mp refines them in their enlarged boxes."""

    def __init__(
        self,
        network: MaskPropagationNetwork,
        video: Video,
        flow: FlowSource,
        config: VSReIDConfig,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._network, self._video, self._flow, self._config = network, video, flow, config
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
        """Algorithm 1, for all rows that go between the same frames at once."""
        groups: dict[tuple[int, int], list[int]] = {}
        for row, pair in enumerate(zip(state.frames, targets, strict=True)):
            groups.setdefault(pair, []).append(row)
        size = self._config.mask_size
        boxes, probabilities = torch.zeros(len(state), 4), torch.zeros(len(state), size, size)
        for (source, target), rows in groups.items():
            patches = state.patches[rows].to(self._device, torch.float32)
            maps, tight = self._warp(patches, source, target)  # lines 3, 4
            found = (tight[:, 2:] > tight[:, :2]).all(dim=1)
            members = [row for row, there in zip(rows, found.tolist(), strict=True) if there]
            if not members:
                continue
            maps = maps[found]
            box = enlarge_boxes(tight[found], self._config.box_enlargement, self._video.size)
            flow = self._flow_between(target, source)
            boxes[members] = box.cpu()
            probabilities[members] = self._refine(target, flow, box, partial(_cut, maps, box)).cpu()
        patches = MaskPatches(boxes, probabilities.to(KEPT_DTYPE))
        return PropagationState(list(targets), list(state.object_ids), patches)

    @torch.no_grad()
    def recover(self, frame: int, boxes: Tensor, templates: Sequence[Template]) -> MaskPatches:
        """Lines 20 to 22 of Algorithm 3: the template's mask, put into the box, is the guide."""
        config, boxes = self._config, boxes.to(self._device, torch.float32)

        def guides(size: int) -> Tensor:
            cuts = []
            for box, template in zip(boxes, templates, strict=True):
                patch, place = template.patch.to(self._device, torch.float32), box[None]
                if template.frame != frame:
                    place = enlarge_boxes(patch.tight_boxes(), config.guide_enlargement, self._video.size)
                cuts.append(patch.sample(cell_centres(place, size)))
            return torch.cat(cuts)

        last = len(self._video) - 1
        neighbours = [frame + 1, frame - 1] if config.recovery_flow == "next" else [frame - 1, frame + 1]
        neighbour = next((n for n in neighbours if 0 <= n <= last), None)
        if neighbour is None:  # a video of one frame
            flow = torch.zeros(2, *self._video.size, device=self._device)
        else:
            flow = self._flow_between(frame, neighbour)
        probabilities = self._refine(frame, flow, boxes, guides)
        return MaskPatches(boxes.cpu(), probabilities.to("cpu", KEPT_DTYPE))

    def _warp(self, patches: MaskPatches, source: int, target: int) -> tuple[Tensor, Tensor]:
        """The maps (R, H, W) of frame ``source`` on the grid of ``target``, and the boxes (R, 4) of the objects."""
        flow = self._flow_between(target, source)
        if self._config.warp == "bilinear":
            maps = warp_bilinear(patches, flow)
            return maps, mask_boxes(maps > 0.5)
        warped = warp_fb_average(patches, flow, self._flow_between(source, target))
        maps, wins = normalise_jointly(warped)
        return maps, mask_boxes(wins)

    def _refine(self, frame: int, flow: Tensor, boxes: Tensor, guides: Guides) -> Tensor:
        """N_mp (line 5), averaged over scales and mirroring: (R, mask_size, mask_size) probabilities."""
        config, network = self._config, self._network
        image = frame_tensor(self._video, frame, self._device)
        dtype = network.mean.dtype
        names: tuple[StreamName, ...] = network.streams if config.streams == "all" else (config.streams,)
        total = torch.zeros(len(boxes), config.mask_size, config.mask_size, device=self._device)
        passes = len(config.scales) * (2 if config.flip else 1)
        for scale in config.scales:
            size = 8 * round((network.patch_size * scale - 1) / 8) + 1
            guide = guides(size)
            for rows in torch.arange(len(boxes), device=self._device).split(config.batch):
                images, motion = (cut_picture(p, boxes[rows], size).to(dtype) for p in (image, flow))
                for flipped in (False, True) if config.flip else (False,):
                    with self._stopwatch("network"):
                        output = self._run(images, motion, guide[rows].to(dtype), names, flipped)
                    output = F.interpolate(
                        output[:, None], size=config.mask_size, mode="bilinear", antialias=True
                    )
                    total[rows] += output[:, 0] / passes
                    self.patches_run += len(rows)
        return total.clamp_(0, 1)

    def _run(
        self, images: Tensor, flow: Tensor, guides: Tensor, streams: Sequence[StreamName], flipped: bool
    ) -> Tensor:
        """(R, size, size) probabilities; mirrored patches come back the right way round."""
        if not flipped:
            return self._network(images, flow, guides, streams)
        mirrored = flow.flip(-1) * flow.new_tensor([-1.0, 1.0]).reshape(1, 2, 1, 1)
        return self._network(images.flip(-1), mirrored, guides.flip(-1), streams).flip(-1)

    def _flow_between(self, source: int, target: int) -> Tensor:
        with self._stopwatch("flow"):
            return self._flow.get(source, target).to(self._device)


class VSReIDRetriever:
    """The ``Retriever``: Faster R-CNN's boxes, embedded by the Identification Net, people by one of their own.

    With a net for people an embedding is [sqrt(1 - p) e, sqrt(p) e'], p being the detector's probability that the
    box shows a person: the cosine of two boxes is then that of the net which both their classes call for.
    """

    def __init__(self, network: VSReID, video: Video, config: VSReIDConfig) -> None:
        assert network.detector is not None
        assert network.identification is not None
        # torchvision's pooling and suppression know no bfloat16
        self._detector = network.detector.float()
        self._identification = network.identification.float()
        people = network.person_identification
        self._people = None if people is None else people.float()
        self._video, self._config = video, config
        self._device = network.propagation.mean.device
        self._candidates: dict[int, Candidates] = {}

    @torch.no_grad()
    def candidates(self, frame: int) -> Candidates:
        """The detections of a frame with their embeddings, by falling score; computed once."""
        if frame not in self._candidates:
            image = frame_tensor(self._video, frame, self._device)
            (found,) = self._detector(image[None], max_proposals=self._config.max_candidates)
            embeddings = self._embed(image, found.boxes)
            self._candidates[frame] = Candidates(found.boxes.cpu(), found.objectness.cpu(), embeddings)
        return self._candidates[frame]

    @torch.no_grad()
    def embed(self, frame: int, boxes: Tensor, masks: MaskPatches | None = None) -> Tensor:
        """(R, 4) -> (R, D) of unit length."""
        return self._embed(frame_tensor(self._video, frame, self._device), boxes)

    def _embed(self, image: Tensor, boxes: Tensor) -> Tensor:
        boxes = boxes.to(self._device, torch.float32)
        rows = torch.zeros(len(boxes), dtype=torch.long, device=self._device)
        embeddings = self._identification(image[None], boxes, rows)
        if self._people is not None:
            p = self._detector.person_probabilities(image, boxes)[:, None]  # type: ignore[operator]
            people = self._people(image[None], boxes, rows)
            embeddings = torch.cat([(1 - p).sqrt() * embeddings, p.sqrt() * people], dim=1)
        return embeddings.float().cpu()


class NoRetriever:
    """The ``Retriever`` of a network without re-identification: no candidates anywhere."""

    def candidates(self, frame: int) -> Candidates:
        """None."""
        return Candidates(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 1))

    def embed(self, frame: int, boxes: Tensor, masks: MaskPatches | None = None) -> Tensor:
        """(R, 1) of unit length: everything looks alike."""
        return torch.ones(len(boxes), 1)


def frame_tensor(video: Video, frame: int, device: torch.device) -> Tensor:
    """(3, H, W) float32 RGB in 0..255."""
    return torch.from_numpy(video[frame]).to(device).permute(2, 0, 1).float()


def _cut(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """(R, H, W) maps cut to their boxes (R, 4): (R, size, size)."""
    return MaskPatches.from_maps(maps, boxes, size).probabilities
