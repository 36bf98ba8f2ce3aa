"""Training of VS-ReID's networks, part by part (Sec. 3.4), and of MSK.

Every stage holds the whole network and trains one part of it, so each stage's weights are the next one's
``init_from``: RGB stream, flow stream, both; detector; identification net.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from dyenet.config import build
from dyenet.data.deform import deform_mask
from dyenet.errors import ConfigError
from dyenet.models.baselines import MSK, FasterRCNN, IdentificationNet, VSReID
from dyenet.models.baselines.warping import warp_maps
from dyenet.models.oim import OIMLoss
from dyenet.registry import MODELS
from dyenet.structures import Clip, enlarge_boxes, mask_boxes
from dyenet.training.batch import MIN_SIDE, ClipBatch, at_least, jitter_boxes
from dyenet.training.joint import true_boxes
from dyenet.training.stage import Stage, mean_over_processes


@dataclass(frozen=True, kw_only=True)
class GuideConfig:
    """The guides, out of true masks that are worn first: a thin plate of 5 points of the boundary moved by up to
    ``tps`` of the object's size, then grown by a disk of radius up to ``dilation`` pixels, after MaskTrack's code.

    ``source``: "same_frame" is pre-training on images, "previous_frame" training on video (VS-ReID: carried along
    the flow; MSK: where it is). ``max_per_clip`` (object, frame) pairs of a clip are drawn, of ``min_area`` pixels
    or more. ``jitter`` and ``enlargement`` are of the patches' boxes.
    """

    source: Literal["same_frame", "previous_frame"] = "previous_frame"
    tps: float = 0.1
    dilation: int = 5
    max_per_clip: int = 4
    min_area: float = 32.0
    jitter: float = 0.05
    enlargement: float = 0.15

    def draw(self, batch: ClipBatch, *, first_frame: int) -> tuple[Tensor, Tensor]:
        """(objects (R,), frames (R,)): random pairs from ``first_frame`` on whose guide is not empty."""
        shows = batch.areas >= self.min_area  # (R, T)
        if self.source == "previous_frame":
            shows = shows & shows.roll(1, dims=1)
            first_frame = max(first_frame, 1)
        shows[:, :first_frame] = False
        objects, frames = shows.nonzero(as_tuple=True)
        kept = []
        for clip, generator in enumerate(batch.generators):
            own = (batch.clip[objects] == clip).nonzero()[:, 0]
            order = torch.randperm(len(own), generator=generator)[: self.max_per_clip]
            kept.append(own[order.to(own.device)])
        index = torch.cat(kept)
        return objects[index], frames[index]

    def worn(self, batch: ClipBatch, objects: Tensor, frames: Tensor) -> Tensor:
        """(R, H, W) float 0/1: the worn masks of the frames that the guides come from."""
        if self.source == "previous_frame":
            frames = frames - 1
        masks = []
        for row, (owner, mask) in enumerate(
            zip(batch.clip[objects].tolist(), batch.masks[objects, frames].cpu(), strict=True)
        ):
            seed = int(torch.randint(2**31, (), generator=batch.generators[owner]))
            rng = np.random.default_rng([seed, row])
            dilation = int(rng.integers(self.dilation + 1))
            masks.append(
                torch.from_numpy(deform_mask(rng, mask.numpy() > 0, tps=self.tps, dilation=dilation))
            )
        size = batch.image_size
        return torch.stack(masks).to(batch.masks) if masks else batch.masks.new_zeros(0, *size)


@MODELS.register_module()
class PropagationTraining(Stage):
    """Trains N_mp on patches: ``streams`` "rgb" and "flow" one at a time, "joint" both through their fusion.

    ``start_flow`` copies the RGB stream into the flow stream first (Sec. 3.4); its first convolution becomes the
    mean over the RGB channels, or stays random (reading V11). The loss is the mean cross entropy over pixels.
    """

    network: VSReID

    def __init__(
        self,
        *,
        streams: Literal["rgb", "flow", "joint"],
        guides: Mapping[str, Any] | None = None,
        start_flow: Literal["rgb_mean", "random"] | None = None,
        **stage: Any,
    ) -> None:
        super().__init__(**stage)
        self.streams = streams
        self.guides = build(GuideConfig, guides, "model.guides.")
        propagation = self.network.propagation
        if streams != "rgb" and propagation.flow is None:
            raise ConfigError(f"model.streams is {streams!r}, but the network has flow_stream=False")
        if start_flow is not None:
            propagation.start_flow_from_rgb(start_flow)
        trained = {"rgb": propagation.rgb, "flow": propagation.flow, "joint": propagation}[streams]
        self.train_only(trained)

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        network = self.network.propagation
        batch = ClipBatch.collate(clips, network.mean.device)
        objects, frames = self.guides.draw(batch, first_frame=0 if self.streams == "rgb" else 1)
        if not len(objects):
            return {"loss_mask": mean_over_processes(batch.masks.new_zeros(()), 0)}
        images, flow, guides, boxes = self.patches(batch, objects, frames)
        names = network.streams if self.streams == "joint" else (self.streams,)
        log_probabilities = network.fuse(network.logits(images, flow, guides, names))
        truth, valid = batch.targets(objects, frames, boxes, network.patch_size)
        return {"loss_mask": pixel_loss(log_probabilities, truth, valid)}

    @torch.no_grad()
    def patches(
        self, batch: ClipBatch, objects: Tensor, frames: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What N_mp sees: images (R, 3, s, s), flow (R, 2, s, s), guides (R, s, s), and the boxes (R, 4)."""
        config, size = self.guides, self.network.propagation.patch_size
        owners = batch.clip[objects]
        guides = config.worn(batch, objects, frames)  # (R, H, W)
        flow = batch.flow.new_zeros(len(objects), 2, *batch.image_size)
        later = frames > 0
        flow[later] = batch.flow[owners[later], frames[later] - 1]  # F_{t -> t-1}
        if config.source == "previous_frame":
            guides = warp_maps(guides, flow)
        tight = mask_boxes(guides > 0.5)
        lost = (tight[:, 2:] <= tight[:, :2]).any(dim=1)  # carried out of the frame
        tight = torch.where(lost[:, None], batch.boxes[objects, frames], tight)
        jittered = at_least(jitter_boxes(tight, owners.tolist(), batch.generators, config.jitter), MIN_SIDE)
        boxes = enlarge_boxes(jittered, config.enlargement, batch.image_size)
        images = cut(batch.images.float(), boxes, batch.frame_rows(objects, frames), size)
        own = torch.arange(len(objects), device=boxes.device)
        return images, cut(flow, boxes, own, size), cut(guides[:, None], boxes, own, size)[:, 0], boxes


@MODELS.register_module()
class MSKTraining(Stage):
    """Trains MSK on whole frames; the loss is the mean cross entropy over pixels."""

    network: MSK

    def __init__(self, *, guides: Mapping[str, Any] | None = None, **stage: Any) -> None:
        super().__init__(**stage)
        self.guides = build(GuideConfig, guides, "model.guides.")

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        batch = ClipBatch.collate(clips, self.network.mean.device)
        objects, frames = self.guides.draw(batch, first_frame=0)
        if not len(objects):
            return {"loss_mask": mean_over_processes(batch.masks.new_zeros(()), 0)}
        rows = batch.frame_rows(objects, frames)
        guides = self.guides.worn(batch, objects, frames)
        logits = self.network.logits(batch.images[rows].float(), guides)
        truth, valid = batch.masks[objects, frames], batch.valid[rows]
        return {"loss_mask": pixel_loss(logits.log_softmax(1), truth, valid)}


@MODELS.register_module()
class DetectorTraining(Stage):
    """Trains Faster R-CNN on the clips' boxes; every object is of class 1."""

    network: VSReID

    def __init__(self, *, min_area: float = 32.0, **stage: Any) -> None:
        super().__init__(**stage)
        self.min_area = min_area
        if not isinstance(self.network.detector, FasterRCNN):
            raise ConfigError("DetectorTraining needs a network with a FasterRCNN as its detector")
        self.train_only(self.network.detector)

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        assert isinstance(self.network.detector, FasterRCNN)
        batch = ClipBatch.collate(clips, self.network.propagation.mean.device)
        return self.network.detector.losses(batch.images, true_boxes(batch, self.min_area))


@MODELS.register_module()
class IdentificationTraining(Stage):
    """Trains an Identification Net with the OIM loss on the true boxes, their sides moved by ``jitter``.

    ``people`` trains the net for people in place of the general one (on clips that show people). ``num_identities``
    is the length of the OIM table; ``oim`` holds its other arguments.
    """

    network: VSReID

    def __init__(
        self,
        *,
        num_identities: int,
        people: bool = False,
        jitter: float = 0.1,
        min_area: float = 32.0,
        oim: Mapping[str, Any] | None = None,
        **stage: Any,
    ) -> None:
        super().__init__(**stage)
        net = self.network.person_identification if people else self.network.identification
        if net is None:
            name = "person_identification" if people else "identification"
            raise ConfigError(f"IdentificationTraining: the network has no {name}")
        self.people, self.jitter, self.min_area = people, jitter, min_area
        self.oim = OIMLoss(num_identities=num_identities, embedding_dim=net.embedding_dim, **(oim or {}))
        self.train_only(net)

    @property
    def trained(self) -> IdentificationNet:
        """The net that is trained."""
        net = self.network.person_identification if self.people else self.network.identification
        assert net is not None
        return net

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        batch = ClipBatch.collate(clips, self.network.propagation.mean.device)
        objects, frames = (batch.areas >= self.min_area).nonzero(as_tuple=True)
        if not len(objects):
            return {"loss_reid": mean_over_processes(batch.masks.new_zeros(()), 0)}
        owners = batch.clip[objects].tolist()
        boxes = jitter_boxes(batch.boxes[objects, frames], owners, batch.generators, self.jitter)
        embeddings = self.trained(batch.images, boxes, batch.frame_rows(objects, frames))
        labels = batch.identities[objects]
        if self.training:
            self.oim.collect(embeddings, labels)
        return {"loss_reid": mean_over_processes(*self.oim.losses(embeddings, labels))}

    def after_step(self) -> None:
        super().after_step()
        self.oim.update_collected()


def cut(maps: Tensor, boxes: Tensor, rows: Tensor, size: int) -> Tensor:
    """Map ``rows[r]`` of (N, C, H, W) cut to ``boxes[r]``: (R, C, size, size), as at test time."""
    rois = torch.cat([rows[:, None].to(boxes.dtype), boxes], dim=1)
    return roi_align(maps, rois, size, sampling_ratio=0, aligned=True)


def pixel_loss(log_probabilities: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean cross entropy of (R, 2, H, W) against ``truth`` (R, H, W) 0/1 over the pixels where ``valid`` is 1."""
    loss = F.nll_loss(log_probabilities, truth.long(), reduction="none")
    return mean_over_processes((loss * valid).sum(), valid.sum())
