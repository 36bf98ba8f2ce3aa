"""Which propagator and retriever serve a network: the one place where a schedule meets a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from dyenet.errors import ConfigError
from dyenet.inference.config import InferenceConfig
from dyenet.inference.dyenet_propagator import DyeNetPropagator
from dyenet.inference.dyenet_retriever import DyeNetRetriever
from dyenet.inference.features import FeatureStore
from dyenet.inference.loading import Model
from dyenet.inference.msk import MSKPropagator
from dyenet.inference.protocols import Propagator, Retriever
from dyenet.inference.stopwatch import Stopwatch
from dyenet.inference.vsreid import NoRetriever, VSReIDPropagator, VSReIDRetriever
from dyenet.models.baselines import MSK, VSReID
from dyenet.models.dyenet import DyeNet
from dyenet.models.flow import FlowSource, build_flow
from dyenet.structures import Video


@dataclass(frozen=True)
class Adapters:
    """A network bound to one video. ``mask_size``: cells per side, s, of every mask patch.

    ``trunk_runs`` counts frames that went through DyeNet's trunk, or patches through VS-ReID's or MSK's network.
    """

    propagator: Propagator
    retriever: Retriever
    mask_size: int
    trunk_runs: Callable[[], int]
    close: Callable[[], None]


def build_adapters(model: Model, video: Video, config: InferenceConfig, stopwatch: Stopwatch) -> Adapters:
    """Raises ConfigError for a network that nobody can drive."""
    network = model.network
    if isinstance(network, (VSReID, MSK)):
        return _baseline_adapters(network, video, config, stopwatch)
    if not isinstance(network, DyeNet):
        raise ConfigError(
            f"{type(network).__name__} cannot segment a video; give a DyeNet, a VSReID or an MSK"
        )
    features = FeatureStore(
        network,
        video,
        memory_bytes=config.features.memory_mb * 2**20,
        dtype=getattr(torch, config.features.dtype),
        spill_dir=config.features.spill_dir,
        stopwatch=stopwatch,
    )
    propagator = DyeNetPropagator(network, features, _flow(video, config), config.propagation, stopwatch)
    count = 0 if network.pixel_matching is None else config.retrieval.matched_boxes
    matched_boxes = partial(propagator.matched_boxes, count=count) if count else None
    return Adapters(
        propagator,
        DyeNetRetriever(network, features, config.retrieval, matched_boxes),
        network.mask_size,
        lambda: features.trunk_runs,
        features.close,
    )


def _baseline_adapters(
    network: VSReID | MSK, video: Video, config: InferenceConfig, stopwatch: Stopwatch
) -> Adapters:
    propagator: MSKPropagator | VSReIDPropagator
    retriever: Retriever = NoRetriever()
    if isinstance(network, MSK):
        propagator = MSKPropagator(network, video, config.vsreid, stopwatch)
    else:
        propagator = VSReIDPropagator(
            network.propagation, video, _flow(video, config), config.vsreid, stopwatch
        )
        if network.detector is not None:
            retriever = VSReIDRetriever(network, video, config.vsreid)
    size = config.vsreid.mask_size
    return Adapters(propagator, retriever, size, lambda: propagator.patches_run, lambda: None)


def _flow(video: Video, config: InferenceConfig) -> FlowSource:
    return build_flow({"memory_bytes": config.flow_memory_mb * 2**20, **config.flow}, video)
