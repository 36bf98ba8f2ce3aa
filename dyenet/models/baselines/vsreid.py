"""VS-ReID's networks: two-stream mask propagation, candidate boxes and re-identification (Secs. 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dyenet.errors import ConfigError
from dyenet.models.baselines.detection import FasterRCNN
from dyenet.models.baselines.guided_stream import GuidedStream
from dyenet.models.baselines.identification import IdentificationNet
from dyenet.models.trunk import IMAGENET_MEAN, IMAGENET_STD
from dyenet.registry import MODELS

StreamName = Literal["rgb", "flow"]
STREAMS: tuple[StreamName, ...] = ("rgb", "flow")


@MODELS.register_module()
class MaskPropagationNetwork(nn.Module):
    """N_mp of Algorithm 1 (Fig. 1): an RGB and a flow stream, both guided by the warped probability map.

    ``patch_size`` is the side of its square inputs in pixels, 8k + 1. ``flow_stream`` off leaves the RGB stream
    alone (Table 1, "full-image to bbox"). ``fusion`` (reading V12): the mean of the streams' softmax (paper) or the
    softmax of the sum of their logits (released code). The flow enters raw, (u, v) in pixels of the frame (V11).
    ``mean`` and ``std`` are of RGB in 0..255; ``stream`` holds arguments of both ``GuidedStream``s.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        patch_size: int = 449,
        flow_stream: bool = True,
        fusion: Literal["softmax_average", "logit_sum"] = "softmax_average",
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        **stream: Any,
    ) -> None:
        super().__init__()
        if patch_size % 8 != 1:
            raise ConfigError(f"patch_size is {patch_size}; it must be 8k + 1, such as 225 or 449")
        if fusion not in ("softmax_average", "logit_sum"):
            raise ConfigError(f"fusion is {fusion!r}; it may be 'softmax_average', 'logit_sum'")
        self.patch_size, self.fusion = patch_size, fusion
        self.rgb = GuidedStream(3, **stream)
        self.flow = GuidedStream(2, **stream) if flow_stream else None
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    @property
    def streams(self) -> tuple[StreamName, ...]:
        """The streams that this network has."""
        return STREAMS if self.flow is not None else ("rgb",)

    def logits(
        self, images: Tensor, flow: Tensor, guides: Tensor, streams: Sequence[StreamName] | None = None
    ) -> list[Tensor]:
        """What each of ``streams`` (all there are, unless given) says: (B, 2, s, s) each, (background, object).

        ``images`` (B, 3, s, s) RGB in 0..255, ``flow`` (B, 2, s, s) in pixels from this frame to the one that the
        guide came from, ``guides`` (B, s, s) in [0, 1].
        """
        found = []
        for name in streams or self.streams:
            if name == "rgb":
                found.append(self.rgb((images.to(self.mean.dtype) - self.mean) / self.std, guides))
            elif self.flow is None:
                raise ConfigError("the flow stream was asked for, but the network has flow_stream=False")
            else:
                found.append(self.flow(flow.to(self.mean.dtype), guides))
        return found

    def fuse(self, logits: Sequence[Tensor]) -> Tensor:
        """Streams' logits (B, 2, s, s) -> log probabilities (B, 2, s, s)."""
        if self.fusion == "logit_sum":
            return torch.stack(list(logits)).sum(0).log_softmax(1)
        each = torch.stack([stream.log_softmax(1) for stream in logits])
        return each.logsumexp(0) - torch.log(torch.tensor(float(len(each))))

    def forward(
        self, images: Tensor, flow: Tensor, guides: Tensor, streams: Sequence[StreamName] | None = None
    ) -> Tensor:
        """Inputs as in ``logits`` -> (B, s, s) probabilities of the object."""
        return self.fuse(self.logits(images, flow, guides, streams))[:, 1].exp()

    def start_flow_from_rgb(self, first_conv: Literal["rgb_mean", "random"] = "rgb_mean") -> None:
        """Copies the RGB stream's weights into the flow stream (Sec. 3.4).

        Its first convolution has two input channels in place of three (reading V11): each becomes the mean over the
        three, or stays random.
        """
        if self.flow is None:
            raise ConfigError("the flow stream cannot be started: the network has flow_stream=False")
        state = {k: v.clone() for k, v in self.rgb.state_dict().items()}
        target = self.flow.backbone.first_conv.weight
        [name] = [k for k, v in self.flow.state_dict(keep_vars=True).items() if v is target]
        mean = state[name].mean(1, keepdim=True).expand_as(target)
        state[name] = mean if first_conv == "rgb_mean" else target.detach()
        self.flow.load_state_dict(state)


@MODELS.register_module()
class VSReID(nn.Module):
    """All of VS-ReID's networks in one; each is a config block.

    ``detector`` gives candidate boxes and ``identification`` embeds them (Algorithm 2); without both nothing is
    retrieved. ``person_identification`` is a second embedding for people, as the paper has it: it needs a detector
    that knows people (``FasterRCNN.person_class``).
    """

    def __init__(
        self,
        *,
        propagation: dict[str, Any],
        detector: dict[str, Any] | None = None,
        identification: dict[str, Any] | None = None,
        person_identification: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if (detector is None) != (identification is None):
            raise ConfigError("VSReID: give both detector and identification, or neither")
        self.propagation: MaskPropagationNetwork = MODELS.build(propagation)
        self.detector: nn.Module | None = None if detector is None else MODELS.build(detector)
        self.identification: IdentificationNet | None = None
        self.person_identification: IdentificationNet | None = None
        if identification is not None:
            self.identification = MODELS.build(identification)
        if person_identification is not None:
            knows_people = isinstance(self.detector, FasterRCNN) and self.detector.person_class is not None
            if not knows_people:
                raise ConfigError(
                    "person_identification needs a FasterRCNN with person_class set, to tell who is one"
                )
            self.person_identification = MODELS.build(person_identification)
