"""The papers' own numbers, in percent, as printed.

DyeNet: Li and Loy, "Video Object Segmentation with Joint Re-identification and Attention-Aware Mask Propagation",
ECCV 2018. VS-ReID: Li et al., "Video Object Segmentation with Re-identification", DAVIS Challenge 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Row = Mapping[str, float]


@dataclass(frozen=True)
class PublishedTable:
    """``rows`` by name, each value by its column; ``data`` is what they were measured on."""

    source: str
    data: str
    columns: tuple[str, ...]
    rows: Mapping[str, Row]


JFG = ("J", "F", "G")
RETRIEVAL = ("precision", "recall", "G")
DATASETS = ("DAVIS 2016", "SegTrack v2", "YouTube-Objects")

TABLE1 = PublishedTable(
    "DyeNet, Table 1",
    "DAVIS 2017 val, offline",
    JFG,
    {
        "MSK (ResNet-101)": dict(J=63.3, F=67.2, G=65.3),
        "Re-MP, no attention": dict(J=65.3, F=69.7, G=67.5),
        "Re-MP, full": dict(J=67.3, F=71.0, G=69.1),
    },
)

TABLE2 = PublishedTable(
    "DyeNet, Table 2",
    "DAVIS 2017 val, offline",
    RETRIEVAL,
    {
        f"rho {rho}, round {number}": dict(zip(RETRIEVAL, values, strict=True))
        for rho, rounds in {
            "0.9": ((97.0, 16.0, 72.3), (90.3, 29.3, 73.3), (90.7, 30.1, 73.6)),
            "0.8": ((87.1, 22.2, 73.2), (75.6, 32.5, 73.7), (74.6, 32.6, 73.7)),
            "0.7": ((78.9, 26.2, 73.2), (68.9, 33.5, 74.1), (68.8, 33.5, 74.1)),
            "0.6": ((76.5, 29.2, 73.4), (65.5, 34.1, 74.0), (65.3, 34.2, 73.9)),
        }.items()
        for number, values in zip(("1", "2", "3+"), rounds, strict=True)
    },
)

TABLE3 = PublishedTable(
    "DyeNet, Table 3",
    "DAVIS 2017 test-dev, per-dataset online training but for the last row",
    JFG,
    {
        "MSK (ResNet-101)": dict(J=50.9, F=52.6, G=51.7),
        "Re-MP, no attention": dict(J=55.4, F=60.5, G=58.0),
        "Re-MP, full": dict(J=59.1, F=62.8, G=61.0),
        "+ Re-ID": dict(J=65.8, F=70.5, G=68.2),
        "offline only": dict(J=60.2, F=64.8, G=62.5),
    },
)

TABLE5 = PublishedTable(
    "DyeNet, Table 5",
    "J mean on DAVIS 2016 val, SegTrack v2 and YouTube-Objects",
    DATASETS,
    {
        "VPN": {"DAVIS 2016": 75.0},
        "SegFlow": {"DAVIS 2016": 76.1},
        "OSVOS": dict(zip(DATASETS, (79.8, 65.4, 72.5), strict=True)),
        "MSK": dict(zip(DATASETS, (80.3, 70.3, 72.6), strict=True)),
        "LucidTracker": dict(zip(DATASETS, (84.8, 77.6, 76.2), strict=True)),
        "OnAVOS": {"DAVIS 2016": 85.7, "YouTube-Objects": 77.4},
        "DyeNet, offline": dict(zip(DATASETS, (84.7, 78.3, 74.9), strict=True)),
        "DyeNet, per-dataset": dict(zip(DATASETS, (86.2, 78.7, 79.6), strict=True)),
    },
)

VSREID_TABLE1 = PublishedTable(
    "VS-ReID, Table 1",
    "DAVIS 2017 test-dev, online training",
    JFG,
    {
        "baseline (full image)": dict(J=50.9, F=52.6, G=51.7),
        "+ bounding box": dict(J=53.2, F=57.7, G=55.5),
        "+ flow stream": dict(J=56.8, F=60.0, G=58.4),
        "+ re-id module": dict(J=63.3, F=67.0, G=65.2),
        "+ multi-scale testing": dict(J=64.4, F=67.8, G=66.1),
    },
)
