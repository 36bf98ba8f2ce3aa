"""What VS-ReID's paper and its released code do differently, as one config (readings V1 to V6, V8, V9, V14)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from dyenet.errors import ConfigError

READINGS: dict[str, dict[str, Any]] = {
    "paper": dict(
        initial_checkpoint="given",
        needed_when="inconsistent",
        search_last_frame=True,
        recover_iterations=1,
        joint_iterations=0,
        presence="probability",
        propagate_until="checkpoint",
    ),
    "released": dict(
        initial_checkpoint="never",
        needed_when="absent",
        search_last_frame=False,
        recover_iterations=5,
        joint_iterations=5,
        presence="label",
        propagate_until="present",
    ),
}


@dataclass(frozen=True, kw_only=True)
class CheckpointedConfig:
    """``algorithm`` decides every field that is None, by the paper's or the released code's reading.

    * ``similarity_threshold`` rho_reid and ``occlusion_iou`` rho_occ of Algorithm 2.
    * ``ties`` (V1): a mask as far from its starting point as from the new one is kept (the paper's ``>``).
    * ``mark_recovered`` (V2): the recovered frame becomes its own checkpoint, so that it is never retrieved twice.
      Without it (the paper's letter) the number of rounds is bounded by ``max_rounds`` alone.
    * ``on_checkpoint`` (V3): at a frame that is closer to its own starting point, stop, or skip it and go on from
      the mask that is there (the letter of the two nested lines).
    * ``initial_checkpoint`` (V4): a frame that the first pass did not reach belongs to the nearest given frame, or
      to none, so that any starting point may take it.
    * ``needed_when`` (V5): the candidate is inconsistent with the object's box (IoU < rho_occ), or the object is
      absent, the candidate covers no present object (IoU <= rho_occ) and no other absent object likes it better.
    * ``search_last_frame`` (V6).
    * ``recover_iterations`` (V8): how often the recovered mask is fed back, 1 being the plain recovery, and
      ``joint_iterations``: how often it is then refined together with the objects around it.
    * ``presence`` (V9): where an object is, P > 0.5 or the pixels it wins in the merge formula.
    * ``box_enlargement`` (V9): the share of width and height added on each side, in the joint refinement.
      (In propagation it is the propagator's.)
    * ``min_area_ratio`` (V14): propagation stops behind a mask smaller than this share of the template's; the
      first step from a starting point is always taken.
    * ``propagate_until``: a round goes as far as the checkpoints let it, or ends before the next frame in which
      the object is present (released code).
    * ``max_rounds``: None means frames x objects, which ``mark_recovered`` never exceeds.
    """

    algorithm: Literal["paper", "released"] = "paper"
    similarity_threshold: float = 0.5
    occlusion_iou: float = 0.3
    ties: Literal["keep", "overwrite"] = "keep"
    mark_recovered: bool = True
    on_checkpoint: Literal["break", "continue"] = "break"
    initial_checkpoint: Literal["given", "never", None] = None
    needed_when: Literal["inconsistent", "absent", None] = None
    search_last_frame: bool | None = None
    recover_iterations: int | None = None
    joint_iterations: int | None = None
    presence: Literal["probability", "label", None] = None
    box_enlargement: float = 0.15
    min_area_ratio: float = 0.1
    propagate_until: Literal["checkpoint", "present", None] = None
    max_rounds: int | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in READINGS:
            raise ConfigError(f"algorithm is {self.algorithm!r}; it may be 'paper', 'released'")
        if self.recover_iterations is not None and self.recover_iterations < 1:
            raise ConfigError(f"recover_iterations is {self.recover_iterations}; it must be at least 1")

    def resolved(self) -> CheckpointedConfig:
        """The same with every None of ``READINGS`` filled in; only then may the fields be read.

        (Not done on construction: a config is written out in full before overrides are applied to it.)
        """
        readings = READINGS[self.algorithm].items()
        return replace(self, **{name: value for name, value in readings if getattr(self, name) is None})
