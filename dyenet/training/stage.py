"""What every training stage shares: a network, what of it is trained, where it starts, and a guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModel
from torch import Tensor, nn

from dyenet.errors import ConfigError, DyeNetError
from dyenet.models.blocks import FeatureNorm
from dyenet.models.trunk import ExternalTrunk
from dyenet.models.weights import load_strictly, read_weights
from dyenet.registry import MODELS
from dyenet.structures import Clip


class DivergedError(DyeNetError):
    """The loss became NaN or infinite."""


class Stage(BaseModel):
    """Base of the stages: wraps a network, and gives a dict of losses for a batch of clips.

    ``network`` is a config block. ``init_from`` is the weights file of the stage before (strict), of which
    ``init_parts`` takes only these modules of the network (``trunk``): the rest may be another; as a mapping, each
    of its keys from the module of the file that it names. ``freeze`` names modules that are not trained and whose
    batch norms, if any, keep their statistics; those that the network can have and lacks are passed over.
    """

    def __init__(
        self,
        *,
        network: Mapping[str, Any],
        init_from: str | None = None,
        init_parts: Sequence[str] | Mapping[str, str] | None = None,
        freeze: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network: nn.Module = MODELS.build(dict(network))
        if init_from is not None:
            state = read_weights(init_from)[0]
            parts = [""] if init_parts is None else init_parts
            sources = parts if isinstance(parts, Mapping) else {part: part for part in parts}
            for part, source in sources.items():
                prefix = f"{source}." if source else ""
                own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                load_strictly(self._submodule(part, "init_parts"), own, f"{init_from} {source}".rstrip())
        kept = [name for name in freeze if getattr(self.network, name, "") is not None]
        self._frozen = [self._submodule(name, "freeze") for name in kept]
        self._freeze()
        self.sources: list[str] = []

    def _submodule(self, name: str, option: str) -> nn.Module:
        try:
            return self.network.get_submodule(name)
        except AttributeError as error:
            raise ConfigError(f"{option} names '{name}', which the network does not have") from error

    def train_only(self, *parts: nn.Module | None) -> None:
        """Everything of the network but ``parts``, and what is frozen in them, gets no gradient."""
        self.network.requires_grad_(False)
        for part in parts:
            if part is not None:
                part.requires_grad_(True)
        self._freeze()

    def _freeze(self) -> None:
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Stage:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, clips: list[Clip], mode: str = "loss") -> dict[str, Tensor]:
        """The losses of a batch; a term that touches every trained parameter is always there.

        That term is 0: with it, a batch without objects has a gradient, and processes that see different parts of
        the network stay in step.
        """
        self.sources = [source for clip in clips for source in clip.sources]
        losses = self.losses(clips)
        losses["loss_zero"] = sum_zero(self)
        return losses

    def losses(self, clips: list[Clip]) -> dict[str, Tensor]:
        """Every key that contains "loss" is summed into the total."""
        raise NotImplementedError

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Raises DivergedError, naming the files of the batch, if the total is not finite."""
        total, log = super().parse_losses(losses)
        log.pop("loss_zero", None)
        if not torch.isfinite(total):
            parts = ", ".join(f"{k} {float(v):.3g}" for k, v in losses.items() if k != "loss_zero")
            raise DivergedError(
                f"the loss is {float(total)} ({parts}) on the batch of {self._batch()}; lower the rate"
            )
        return total, log

    def check_parameters(self) -> None:
        """Raises DivergedError if the last step made a trained parameter NaN or infinite, though its loss was not."""
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and not torch.isfinite(parameter).all():
                raise DivergedError(
                    f"{name} is not finite after the step on the batch of {self._batch()}; lower the rate"
                )

    def _batch(self) -> str:
        return ", ".join(self.sources) or "unknown files"

    def after_step(self) -> None:
        """Called once after every optimiser step; moves the running norms of what was seen in it."""
        for module in self.modules():
            if isinstance(module, FeatureNorm):
                module.update()


def keep_maps(trunk: nn.Module, folder: str) -> None:
    """Has a trunk that is never trained compute its maps once per picture. Raises ConfigError for any other."""
    if not isinstance(trunk, ExternalTrunk):
        raise ConfigError(
            f"a {type(trunk).__name__} is trained, so its maps cannot be kept in {folder}; an ExternalTrunk's can"
        )
    trunk.cache = Path(folder)


def sum_zero(module: nn.Module) -> Tensor:
    """0 that depends on every trained parameter (NaN where a parameter is not finite)."""
    terms = [p.flatten()[0] * 0 for p in module.parameters() if p.requires_grad]
    return torch.stack(terms).sum() if terms else torch.zeros((), requires_grad=True)


def mean_over_processes(total: Tensor, count: Tensor | int) -> Tensor:
    """``total / count`` such that averaging gradients over processes gives the mean over all of their items."""
    count = torch.as_tensor(count, dtype=torch.float32, device=total.device).detach().clone()
    all_reduce(count)
    return total * get_world_size() / count.clamp(min=1)
