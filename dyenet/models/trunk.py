"""The feature network N_feat: conv1..conv4_x at 1/8 of the frame (DyeNet Sec. 3, "Feature Extraction")."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.resnet import BasicBlock, Bottleneck

from dyenet.errors import ConfigError
from dyenet.files import atomic_path
from dyenet.models.blocks import NORMS, NormName, initialise, pad_to_multiple, residual_stage
from dyenet.registry import MODELS

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Trunk(nn.Module):
    """Base of the trunks: normalises and pads, then gives a 1/8 map and an early 1/4 map.

    Subclasses set ``out_channels`` and ``fine_channels`` and implement ``maps``.
    """

    stride = 8
    out_channels: int
    fine_channels: int
    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in 0..255, uint8 or float -> coarse (B, C, H/8, W/8), fine (B, Cf, H/4, W/4).

        H and W are first padded to a multiple of 8 by repeating the edge.
        """
        x = (images.to(self.mean.dtype) - self.mean) / self.std
        x = pad_to_multiple(x, self.stride)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        return self.maps(x)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised, padded images -> (coarse, fine)."""
        raise NotImplementedError


@MODELS.register_module()
class ResNetTrunk(Trunk):
    """conv1..conv4_x of a ResNet with the stride of conv4_x replaced by dilation 2 (paper: depth 101).

    ``dilate_first_block`` dilates the first block of conv4_x too, as DeepLab-v2 and VS-ReID do; torchvision's
    weights were trained without, so it goes by whose weights are loaded. Names are torchvision's: conv1,
    bn1, layer1, layer2, layer3.
    """

    def __init__(
        self, *, depth: int = 101, norm: NormName = "frozen_bn", dilate_first_block: bool = False
    ) -> None:
        super().__init__(IMAGENET_MEAN, IMAGENET_STD)
        if depth not in (50, 101, 152):
            raise ConfigError(f"a ResNetTrunk of depth {depth} is not known; take 50, 101 or 152")
        layers = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}[depth]
        net = resnet.ResNet(
            Bottleneck, layers, replace_stride_with_dilation=[False, True, False], norm_layer=NORMS[norm]
        )
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3
        if dilate_first_block:
            first = self.layer3[0].conv2
            first.dilation, first.padding = (2, 2), (2, 2)
        initialise(self)
        self.out_channels, self.fine_channels = 1024, 256

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        fine = self.layer1(x)
        return self.layer3(self.layer2(fine)), fine


@MODELS.register_module()
class SmallTrunk(Trunk):
    """A slim ResNet for laptops: 25 GFLOP at 854x480 where ResNet-101's conv1..conv4_x takes 364.

    conv2_x and conv3_x have ``depths`` blocks. conv4_x keeps the resolution of conv3_x and widens the view by
    ``dilations``, one bottleneck each, whose 3x3 convolution is ``width`` wide.
    """

    def __init__(
        self,
        *,
        norm: NormName = "frozen_bn",
        depths: tuple[int, int] = (1, 2),
        width: int = 128,
        dilations: Sequence[int] = (1, 2, 4, 2, 4),
    ) -> None:
        super().__init__(IMAGENET_MEAN, IMAGENET_STD)
        make_norm = NORMS[norm]
        self.stem = nn.Sequential(  # 1/4
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            make_norm(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 2, 1, bias=False),
            make_norm(64),
            nn.ReLU(inplace=True),
        )
        self.layer1 = residual_stage(BasicBlock, 64, 64, stride=1, dilations=(1,) * depths[0], norm=norm)
        self.layer2 = residual_stage(BasicBlock, 64, 128, stride=2, dilations=(1,) * depths[1], norm=norm)
        self.layer3 = residual_stage(
            Bottleneck, 128, 64, stride=1, dilations=dilations, norm=norm, base_width=width
        )
        self.out_channels, self.fine_channels = 256, 64
        initialise(self)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.layer1(self.stem(x))
        return self.layer3(self.layer2(fine)), fine


@MODELS.register_module()
class ExternalTrunk(Trunk):
    """Somebody else's trunk, from a Python file and its weights; both stay outside this project.

    ``file`` defines ``class_name`` with a ``from_file(weights)`` constructor, ``out_channels``, stride 8, and a
    forward from (B, 3, H, W) RGB, normalised by ``mean`` and ``std`` of the 0..255 range, to the 1/8 map. The
    1/4 map is read from the output of ``fine_module``, of ``fine_channels`` channels. The weights are no part of
    this network's own state dict (``frozen``: they are not trained), so that saved heads stay small.

    ``cache``, if a training sets it, is a folder for the maps, float16, one file per picture: they never change, and a
    trunk like this takes most of a training's time. It grows with every new picture.
    """

    def __init__(
        self,
        *,
        file: str,
        class_name: str,
        weights: str,
        fine_module: str,
        fine_channels: int,
        mean: Sequence[float] = (127.5, 127.5, 127.5),
        std: Sequence[float] = (127.5, 127.5, 127.5),
    ) -> None:
        super().__init__(mean, std)
        for path in (file, weights):
            if not Path(path).is_file():
                raise ConfigError(f"the trunk's file {path} is missing; set trunk.file and trunk.weights")
        spec = importlib.util.spec_from_file_location(Path(file).stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        net = getattr(module, class_name).from_file(weights).eval().requires_grad_(False)
        self._net = [net]  # in a list: not a submodule, so neither saved nor trained
        self._fine: list[Tensor] = []
        net.get_submodule(fine_module).register_forward_hook(lambda _m, _i, out: self._fine.append(out))
        self.out_channels, self.fine_channels = net.out_channels, fine_channels
        self.cache: Path | None = None
        self._identity = repr((file, class_name, weights, fine_module, *mean, *std)).encode()

    def _apply(self, fn, recurse=True):
        self._net[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.cache is None:
            return super().forward(images)
        files = [self.cache / f"{self._key(image)}.npz" for image in images.cpu().numpy()]
        new = [i for i, file in enumerate(files) if not file.is_file()]
        if new:
            maps = [m.half().cpu().numpy() for m in super().forward(images[new])]
            for i, coarse, fine in zip(new, *maps, strict=True):
                with atomic_path(files[i]) as part, part.open("wb") as stream:
                    np.savez(stream, coarse=coarse, fine=fine)
        stored = [np.load(file) for file in files]
        coarse, fine = (torch.from_numpy(np.stack([m[name] for m in stored])) for name in ("coarse", "fine"))
        return coarse.to(self.mean), fine.to(self.mean)

    def _key(self, image: np.ndarray) -> str:
        about = self._identity + repr((image.shape, image.dtype.str)).encode()
        return hashlib.sha256(about + image.tobytes()).hexdigest()

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        net, device = self._net[0], x.device.type
        # Under autocast what lies between the convolutions in its dtype, too: 2.3 times as fast on a CPU.
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        net.to(dtype)
        with torch.no_grad(), torch.autocast(device, enabled=False):
            coarse = net(x.to(dtype))
        return coarse, self._fine.pop()
