"""The networks: nn.Modules without memory of a video. Importing this package registers them all."""

from dyenet.models import baselines, flow, mmdet_adapter
from dyenet.models.dyenet import DyeNet
from dyenet.models.propagation_head import PropagationHead, PropagationOutput
from dyenet.models.proposals import ProposalNetwork, Proposals
from dyenet.models.reid_head import ReIDHead
from dyenet.models.trunk import ExternalTrunk, ResNetTrunk, SmallTrunk, Trunk

__all__ = [
    "DyeNet",
    "ExternalTrunk",
    "PropagationHead",
    "PropagationOutput",
    "ProposalNetwork",
    "Proposals",
    "ReIDHead",
    "ResNetTrunk",
    "SmallTrunk",
    "Trunk",
    "baselines",
    "flow",
    "mmdet_adapter",
]
