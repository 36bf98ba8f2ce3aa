"""Begins the heads for another trunk with those of trained weights: for a training's model.init_from.

    python scripts/transfer_heads.py dyenet/weights/small.safetensors dyenet/r101v2_joint.py OUT.safetensors \\
        --dataset davis2016 --root DAVIS --split train

The trained trunk's features are fitted as a linear function of the other's, by least squares over frames of the
videos, and this function is folded into every convolution that reads the trunk. Pixel matching, which compares the
trunk's own features, begins as its config has it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import dyenet.training.runner  # noqa: F401  (registers everything that a config names)
from dyenet.config import load_config
from dyenet.data.dataset import VideoDataset
from dyenet.data.readers import open_dataset
from dyenet.errors import ConfigError, DyeNetError
from dyenet.inference.session import resized
from dyenet.models.dyenet import DyeNet
from dyenet.models.trunk import Trunk
from dyenet.models.weights import load_network, save_network
from dyenet.registry import MODELS

SIZE = 352  # of the frames' longer side, as in training
CELL_STEP = 3  # every third cell is fitted on


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="trained weights, .safetensors")
    parser.add_argument("config", help="the training whose network is to begin so")
    parser.add_argument("out", help="where to write the weights")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--frames", type=int, default=90, help="how many frames to fit on (90)")
    options = parser.parse_args()
    try:
        config = load_config(options.config)
        source, network = load_network(options.source)[0], MODELS.build(config.model.network)
        if not isinstance(source, DyeNet) or not isinstance(network, DyeNet):
            raise ConfigError("heads can be transferred from a DyeNet to a DyeNet only")
        videos = open_dataset(options.dataset, options.root, options.split)
        frames = list(some_frames(videos, options.frames))
        load_folded(network, source, fit(source.trunk.eval(), network.trunk.eval(), frames))
        kept = {"model": config.model.network, "inference": config.inference}
        save_network(network, kept, options.out, extra={"heads_from": options.source})
    except DyeNetError as error:
        sys.exit(str(error))


def some_frames(videos: VideoDataset, count: int) -> Iterator[Tensor]:
    """(1, 3, H, W) frames, evenly over the videos and within each."""
    each = -(-count // len(videos.sequences))
    for sequence in videos.sequences:
        video = resized(videos.video(sequence), SIZE)
        for k in range(each):
            frame = video[(2 * k + 1) * len(video) // (2 * each)]
            yield torch.from_numpy(frame).permute(2, 0, 1)[None]


@dataclass(frozen=True)
class Fit:
    """``matrix`` (C source, C target): the source's features are it times the target's, nearly. ``cells`` (N, C source)
    are features of the source.
    """

    matrix: Tensor
    cells: Tensor


@torch.no_grad()
def fit(source: Trunk, target: Trunk, frames: list[Tensor]) -> list[Fit]:
    """The fits of the 1/8 and of the 1/4 map."""
    cells: list[list[Tensor]] = [[], [], [], []]  # of source and target at 1/8, of source and target at 1/4
    for frame in frames:
        for level, pair in enumerate(zip(source(frame), target(frame), strict=True)):
            for column, features in zip(cells[2 * level :], pair, strict=False):
                column.append(features[0].flatten(1).T[::CELL_STEP])
    fits = []
    for name, y, x in (("1/8", *cells[:2]), ("1/4", *cells[2:])):
        wanted, given = torch.cat(y), torch.cat(x)
        matrix = torch.linalg.lstsq(given, wanted).solution
        left = (wanted - given @ matrix).square().mean() / wanted.var(dim=0).mean()
        print(f"{name} map: {float(left):.0%} of the variance cannot be told from the other trunk's")
        fits.append(Fit(matrix.T, wanted))
    return fits


def load_folded(network: DyeNet, source: DyeNet, fits: list[Fit]) -> None:
    """Takes over every tensor of the heads; where one reads more or fewer channels, they are the trunk's, and fitted.

    Raises ConfigError for a head that differs in anything else.
    """
    old = source.state_dict()
    for name, value in network.state_dict().items():
        fitted = fits["lateral" in name]  # the layers that read the 1/4 map
        wanted, given = fitted.matrix.shape
        if name.startswith(("trunk.", "pixel_matching.", "refinement.matching.")):
            continue
        if name in old and old[name].shape == value.shape:
            value.copy_(old[name])
        elif name == "motion.coarse.weight":  # added to the trunk's features, not read from them
            value.copy_(torch.einsum("ts,sohw->tohw", torch.linalg.pinv(fitted.matrix), old[name]))
        elif name in old and value.ndim == 4 and value.shape[1] - given == old[name].shape[1] - wanted:
            value[:, :given] = torch.einsum("oshw,st->othw", old[name][:, :wanted], fitted.matrix)
            value[:, given:] = old[name][:, wanted:]
        elif name.endswith("downsample.0.weight") and name not in old:
            begin_shortcut(network.get_submodule(name.removesuffix(".0.weight")), fitted)
        elif ".downsample.1." not in name:  # the new shortcut's norm, which is set with its convolution
            raise ConfigError(f"{name} of the two heads differs in more than the trunk's channels")


@torch.no_grad()
def begin_shortcut(shortcut: nn.Module, fitted: Fit) -> None:
    """A block that handed the trunk's features on as they were now needs a convolution and a norm to do so."""
    convolution, norm = shortcut
    if not isinstance(norm, nn.GroupNorm):
        raise ConfigError(
            f"heads with a {type(norm).__name__} cannot be transferred to more channels; gn can"
        )
    convolution.weight.copy_(fitted.matrix[..., None, None])
    groups = fitted.cells.unflatten(1, (norm.num_groups, -1))  # (N, groups, channels of each)
    norm.weight.copy_(groups.std(dim=(0, 2)).repeat_interleave(groups.shape[2]))
    norm.bias.copy_(groups.mean(dim=(0, 2)).repeat_interleave(groups.shape[2]))


if __name__ == "__main__":
    main()
