"""mmengine registries of this project: what a config's ``type="..."`` may name.

Each registry is a child of mmengine's, so that a config can name mmengine's own classes (optimisers,
schedulers, hooks) too. Modules register themselves when imported; ``locations`` lets mmengine import them
on first use, so that importing ``dyenet`` stays cheap.
"""

from __future__ import annotations

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import Registry

MODELS = Registry(
    "model", parent=MMENGINE_MODELS, scope="dyenet", locations=["dyenet.models", "dyenet.training"]
)
"""Networks, heads, losses (dyenet.models) and the wrappers that train them (dyenet.training)."""

FLOWS = Registry("flow", scope="dyenet", locations=["dyenet.models.flow"])
"""Optical flow estimators."""

DATASETS = Registry(
    "dataset",
    parent=MMENGINE_DATASETS,
    scope="dyenet",
    locations=[
        "dyenet.data.clips",
        "dyenet.data.clips_images",
        "dyenet.data.clips_boxes",
        "dyenet.data.clips_composite",
        "dyenet.data.segmentation",
    ],
)
"""Data sets of clips or images for training, and readers of folder trees."""

HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="dyenet", locations=["dyenet.training"])
"""Training hooks."""

OPTIM_WRAPPERS = Registry(
    "optim wrapper", parent=MMENGINE_OPTIM_WRAPPERS, scope="dyenet", locations=["dyenet.training"]
)
"""Optimiser wrappers (bf16 on a CPU)."""
