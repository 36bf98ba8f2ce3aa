"""Optical flow behind one small interface: asked for by (from, to), computed once, cached within a bound."""

from dyenet.models.flow.dis import DISFlow, dis_flow
from dyenet.models.flow.files import FlowFiles, NoFlow, write_flow
from dyenet.models.flow.raft import RAFTFlow
from dyenet.models.flow.source import CachedFlow, FlowEstimator, FlowSource, build_flow

__all__ = [
    "CachedFlow",
    "DISFlow",
    "FlowEstimator",
    "FlowFiles",
    "FlowSource",
    "NoFlow",
    "RAFTFlow",
    "build_flow",
    "dis_flow",
    "write_flow",
]
