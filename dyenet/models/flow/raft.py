"""RAFT (Teed and Deng, ECCV 2020) through torchvision: better than DIS, made for a GPU."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights, raft_large, raft_small

from dyenet.errors import WeightsError
from dyenet.models.weights import load_strictly
from dyenet.registry import FLOWS
from dyenet.structures import Frame, Video

STRIDE = 8
SMALLEST_SIDE = 128
"""RAFT's correlation pyramid has four levels on the 1/8 map and needs at least this many pixels a side."""


@FLOWS.register_module()
class RAFTFlow:
    """torchvision's RAFT, large or ``small``.

    ``weights`` is a safetensors file or a torch state dict (read with ``weights_only``, so nothing is executed),
    "torchvision" to let torchvision fetch its own (C_T_SKHT_V2 large, C_T_V2 small), or "random". ``iterations``
    are the recurrent updates (12 as torchvision); ``device`` None means a GPU where there is one.
    """

    def __init__(
        self, *, weights: str, small: bool = False, iterations: int = 12, device: str | None = None
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.iterations = iterations
        fetched = Raft_Small_Weights.DEFAULT if small else Raft_Large_Weights.DEFAULT
        build = raft_small if small else raft_large
        if weights == "torchvision":
            try:
                network = build(weights=fetched)
            except OSError as error:
                raise WeightsError(
                    f"torchvision cannot fetch {fetched.url} ({error}); give a file as flow.weights"
                ) from error
        else:
            network = build(weights=None)
            if weights != "random":
                load_strictly(network, _read_state(Path(weights)), weights)
        self.network: nn.Module = network.eval().requires_grad_(False).to(self.device)

    def estimate(self, video: Video, source: int, target: int) -> Tensor:
        """F_{source->target}: (2, H, W) float32 on the CPU."""
        return self.between(video[source], video[target])

    @torch.no_grad()
    def between(self, source_image: Frame, target_image: Frame) -> Tensor:
        """F_{source->target} of two RGB uint8 (H, W, 3) images -> (2, H, W) float32 on the CPU."""
        height, width = source_image.shape[:2]
        pair = torch.stack(
            [torch.from_numpy(image).to(self.device) for image in (source_image, target_image)]
        )
        images = pair.permute(0, 3, 1, 2).float() / 127.5 - 1  # (2, 3, H, W) in [-1, 1]
        h, w = (max(SMALLEST_SIDE, -(-side // STRIDE) * STRIDE) for side in (height, width))
        images = F.pad(images, (0, w - width, 0, h - height), mode="replicate")
        flows = self.network(images[:1], images[1:], num_flow_updates=self.iterations)
        return flows[-1][0, :, :height, :width].float().cpu().contiguous()


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"there is no RAFT weights file at {path}; flow.weights takes a file, or 'torchvision'"
        )
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # the readers raise many kinds, and each means the same to the user
        raise WeightsError(
            f"{path} is damaged, or holds more than tensors ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is no state dict (names and tensors); save RAFT's state_dict() there")
    return state
