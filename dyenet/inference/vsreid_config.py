"""How VS-ReID's and MSK's own networks are run (readings V7, V9, V10, V13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class VSReIDConfig:
    """What Algorithms 1 to 3 leave open of N_mp, N_det and N_reid; the schedule's part is ``CheckpointedConfig``.

    * ``box_enlargement`` (V9): the share of width and height added on each side of Box(P > 0.5).
    * ``streams``: which of the network's two are asked; "rgb" alone is Table 1 before "+ flow-stream".
    * ``flip`` and ``scales`` (V13): testing on mirrored patches (u of the flow negated) and on patches of these
      multiples of the network's ``patch_size`` (rounded to 8k + 1), averaged. The scales are in no source; the
      recommended ones are 0.75, 1, 1.25 with ``flip``.
    * ``warp`` (V10): the paper's bilinear W of each map along F_{j->i}, or the released code's: the flow averaged
      over both directions, the nearest pixel, of the maps normalised over the objects that are propagated together.
    * ``recovery_flow`` (V7): the flow at a recovered frame goes to the next frame (paper) or the previous one
      (released code); where there is none, to the other.
    * ``guide_enlargement``: at recovery the template's mask is cut in its box, enlarged by this share per side, and
      put into the retrieved box (paper 0, released code 0.15). A template of that very frame, which is what
      repeated recovery gives, stays where it is.
    * ``mask_size``: cells per side of the masks kept; the network's output is cut down to it.
    * ``batch``: patches that go through the network at once.
    * ``max_candidates``: boxes of a frame, after non-maximum suppression, that are embedded.
    """

    box_enlargement: float = 0.15
    streams: Literal["all", "rgb", "flow"] = "all"
    flip: bool = False
    scales: list[float] = field(default_factory=lambda: [1.0])
    warp: Literal["bilinear", "fb_average"] = "bilinear"
    recovery_flow: Literal["next", "previous"] = "next"
    guide_enlargement: float = 0.0
    mask_size: int = 112
    batch: int = 4
    max_candidates: int = 100
