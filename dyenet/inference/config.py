"""How a video is worked through: the ``inference`` block of a config, as strict dataclasses.

What the papers leave open is a field here where there is more than one way (docs/readings.md): the reading that
we chose is the default, the others are its other values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dyenet.errors import ConfigError
from dyenet.inference.checkpointed_config import CheckpointedConfig
from dyenet.inference.vsreid_config import VSReIDConfig


def _at_least_one(block: str, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"inference.{block}{name} is {value}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """Sec. 3.1. ``similarity_threshold`` is the paper's rho_reid.

    * ``identity`` (D14): a candidate starts the object it is most similar to, or every object above the threshold.
    * ``per_frame``: the candidates above the threshold that start an object in one frame: the most similar one, since
      an object is in one place, or every one, as the paper has it (the skip rule then drops those that overlap).
    * ``max_proposals`` (D24), after non-maximum suppression at ``proposal_nms_iou``, on every ``frame_step``-th
      frame. The paper's M is 100; the embedding of proposals is what costs most, and an object that returns
      shows itself for more than one frame.
    * ``matched_boxes``: so many boxes of each object are candidates of a frame beside the proposals: about as large as
      its given mask, and where pixel matching, if the network has it, says that it is (``matched_boxes.py``).
    * ``second_look``: a candidate this similar to an object is embedded once more, over the mask that is found in it
      when it is known whose that should be, and that similarity counts; None: never.
    * ``embedding``: of the Re-ID network, or ``PooledEmbedding``.
    * ``embed_batch``: boxes that go through the Re-ID head at once; bounds its memory.

    Raises ConfigError for a number of proposals, frames or boxes below 1.
    """

    similarity_threshold: float = 0.7
    identity: Literal["best", "all"] = "best"
    per_frame: Literal["best", "every"] = "best"
    max_proposals: int = 16
    proposal_nms_iou: float = 0.7
    matched_boxes: int = 0
    second_look: float | None = None
    frame_step: int = 3
    embedding: Literal["network", "pooled"] = "network"
    embed_batch: int = 32

    def __post_init__(self) -> None:
        _at_least_one("retrieval.", self, "max_proposals", "frame_step", "embed_batch")


@dataclass(frozen=True, kw_only=True)
class PropagationConfig:
    """Sec. 3.2.

    * ``box_enlargement`` (D10): the RoI is the warped mask's box with this share of width and height added on each
      side; 0 is the paper's letter, under which a RoI can never grow.
    * ``min_area_ratio`` and ``min_side`` (D11): propagation aborts when the mask is smaller than this share of the
      starting mask, its warped box has a side below ``min_side`` pixels (below half of the starting mask's where
      that is less: some objects are thin), or it is empty.
    * ``skip_iou`` and ``skip_scope`` (D15): a starting point is skipped if its mask overlaps a tracklet's mask, of
      the same object or of any, by this IoU; under "any" starting points are taken one by one, without competition.
    * ``recurrent_mask`` (D18): the mask that is warped to find the next box.
    * ``displacement_margin``: what an object's mask shows is searched for in the next frame, and where it correlates
      better by this than where the flow takes it, there its flow is estimated anew (``models/flow/displacement.py``);
      None: never.
    * ``starting_mask`` (D28): the mask that enters the recurrence at a starting point.
    * ``min_component_ratio``: connected parts of a mask that are smaller than this share of its largest one are
      dropped, in every frame, and below ``new_component_ratio`` those that lie mostly outside the warped mask; 0,
      the papers', keeps all.
    * ``rivals``: what looks like another object's given mask, the nearest in time if there are several, does not match
      an object's own, where there is pixel matching.
    * ``competition``: masks of different objects that reach a frame together share it out (``models/competition.py``).
    * ``recent_step``: in frames whose number is a multiple of it a tracklet remembers what its own mask shows there, in
      place of what it remembered before, and pixel matching compares with that, too, a little; None: with the given
      mask alone.
    * ``stop_on_meeting``: a retrieved tracklet ends where its mask overlaps an earlier tracklet's of the same object
      by ``skip_iou``, from where on the two would be the same; the paper goes on.
    * ``max_passes``: an object's retrieved tracklets of one round stop when they add up to this many times the
      video; bounds the time where the skip rule seldom holds (weak weights).

    Raises ConfigError for a ``recent_step`` below 1.
    """

    box_enlargement: float = 0.15
    min_area_ratio: float = 0.1
    min_side: float = 8.0
    skip_iou: float = 0.7
    skip_scope: Literal["same_object", "any_object"] = "same_object"
    recurrent_mask: Literal["binary", "probability"] = "binary"
    displacement_margin: float | None = None
    starting_mask: Literal["binary", "probability"] = "binary"
    min_component_ratio: float = 0.0
    new_component_ratio: float = 0.0
    rivals: bool = True
    competition: bool = False
    recent_step: int | None = None
    stop_on_meeting: bool = True
    max_passes: float = 2.0

    def __post_init__(self) -> None:
        _at_least_one("propagation.", self, "recent_step")


@dataclass(frozen=True, kw_only=True)
class VerificationConfig:
    """When a tracklet has lost its object: see ``Verification``. ``min_share`` None, the papers': they end a tracklet
    only where its mask gets small. Raises ConfigError for ``times`` below 1.
    """

    min_share: float | None = None
    times: int = 3

    def __post_init__(self) -> None:
        _at_least_one("verification.", self, "times")


@dataclass(frozen=True, kw_only=True)
class LinkingConfig:
    """Sec. 3.2, "Linking the Tracklets" (D16).

    A shared frame contradicts if the tube's mask and the tracklet's have an IoU below ``contradiction_iou``; any
    frame contradicts if the mask overlaps another object's tube by ``overlap_iou`` or more, and more than its own.
    A tracklet is rejected whole if more than ``max_contradicting_fraction`` of its frames contradict. With
    ``reassign`` a rejected tracklet is offered to the next best object above the similarity threshold. Where several
    tracklets of an object have a mask in a frame, the ``first`` stays: the given one's, else the most similar one's; or
    of retrieved ones that whose start is ``nearest`` in time; or one linked later takes its place with a mask that is
    itself more ``similar`` to the given masks, by ``margin`` (a given one's not with the mask found in a box), and so
    does one that would contradict another object's tube.
    """

    contradiction_iou: float = 0.5
    overlap_iou: float = 0.5
    max_contradicting_fraction: float = 0.0
    reassign: bool = False
    shared_frames: Literal["first", "nearest", "similar"] = "first"
    margin: float = 0.04


@dataclass(frozen=True, kw_only=True)
class ExpansionConfig:
    """Sec. 3, "Iterative Inference with Template Expansion" (D12).

    * ``source``: which masks of the tubes may become templates, ``frame_step`` frames apart.
    * ``threshold``: least similarity to the object's templates; None is retrieval's similarity threshold.
    * ``margin``: by how much it exceeds the similarity to every other object.
    * ``min_confidence``: least mean probability inside the mask.
    * ``max_per_round``: templates added per object and round.
    * ``duplicate_similarity``: a mask this similar to a template of its object adds nothing.

    Raises ConfigError for a ``frame_step`` below 1.
    """

    source: Literal["both", "starting_points", "tube_masks"] = "both"
    threshold: float | None = None
    margin: float = 0.05
    min_confidence: float = 0.8
    max_per_round: int = 5
    duplicate_similarity: float = 0.95
    frame_step: int = 5

    def __post_init__(self) -> None:
        _at_least_one("expansion.", self, "frame_step")


@dataclass(frozen=True, kw_only=True)
class IterativeConfig:
    """Sec. 3.3 (D13): rounds end when one finds nothing new, adds no template, or is the last of ``max_rounds``.

    The given masks are propagated in the first round, so there must be one. Raises ConfigError.
    """

    max_rounds: int = 3

    def __post_init__(self) -> None:
        if self.max_rounds < 1:
            raise ConfigError(
                f"inference.iterative.max_rounds is {self.max_rounds}; it must be at least 1 (for propagation alone, "
                "set inference.schedule=checkpointed and inference.checkpointed.max_rounds=0)"
            )


@dataclass(frozen=True, kw_only=True)
class MergingConfig:
    """D17: "vsreid" is the formula of VS-ReID's Sec. 3.3; "threshold" gives a pixel to its most probable object if
    that is above ``threshold``.

    ``threshold``, in (0, 1): what an object that is alone must be above; in VS-ReID's formula the background counts
    threshold / (1 - threshold) times, once at 0.5. Masks carried from frame to frame do not change with it. Raises
    ConfigError for others.
    """

    method: Literal["vsreid", "threshold"] = "vsreid"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"inference.merging.threshold is {self.threshold}; it must be between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """The feature store: kept as ``dtype``, in memory up to ``memory_mb`` MiB and in temporary files beyond."""

    memory_mb: int = 128
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    spill_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """``flow`` is a block for ``dyenet.models.flow.build_flow``, and ``flow_memory_mb`` MiB of its results are kept.

    ``max_size``: the longer side, in pixels, of the frames that are worked on; None is the video's own. Small objects
    have few cells there: so frames are up to ``max_zoom`` times as large, beyond the video's own size, too, until the
    smallest given object measures ``object_size`` pixels (the square root of its area). Masks always come out at
    the video's size. Raises ConfigError for a ``max_size`` or a ``max_zoom`` below 1.
    """

    schedule: Literal["iterative", "checkpointed"] = "iterative"
    max_size: int | None = None
    max_zoom: float = 1.0
    object_size: float = 100.0
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    propagation: PropagationConfig = field(default_factory=PropagationConfig)
    verification: VerificationConfig = field(default_factory=VerificationConfig)
    linking: LinkingConfig = field(default_factory=LinkingConfig)
    expansion: ExpansionConfig = field(default_factory=ExpansionConfig)
    iterative: IterativeConfig = field(default_factory=IterativeConfig)
    checkpointed: CheckpointedConfig = field(default_factory=CheckpointedConfig)
    vsreid: VSReIDConfig = field(default_factory=VSReIDConfig)
    merging: MergingConfig = field(default_factory=MergingConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    flow: dict[str, Any] = field(default_factory=lambda: {"type": "DISFlow"})
    flow_memory_mb: int = 64

    def __post_init__(self) -> None:
        _at_least_one("", self, "max_size")
        if self.max_zoom < 1:
            raise ConfigError(
                f"inference.max_zoom is {self.max_zoom}; it must be at least 1 (smaller frames: inference.max_size)"
            )
