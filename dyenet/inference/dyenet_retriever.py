"""DyeNet's heads behind the ``Retriever`` (Sec. 3.1). Everything handed out lies on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dyenet.inference.config import RetrievalConfig
from dyenet.inference.features import FeatureStore
from dyenet.inference.pooled_embedding import PooledEmbedding
from dyenet.inference.rois import in_frame, roi_of
from dyenet.models.dyenet import DyeNet
from dyenet.structures import Candidates, FrameFeatures, MaskPatches, cell_centres


class DyeNetRetriever:
    """The ``Retriever``: RPN proposals and what ``matched_boxes`` gives for a frame, (M, 4); and the Re-ID network, or
    pooled embeddings, whitened by the frame that is embedded first. Either candidates of a frame are computed once.
    """

    def __init__(
        self,
        network: DyeNet,
        features: FeatureStore,
        config: RetrievalConfig,
        matched_boxes: Callable[[int], Tensor] | None = None,
    ) -> None:
        self._network, self._features, self._config = network, features, config
        self._matched_boxes = matched_boxes
        self._proposals: dict[int, Candidates] = {}
        self._matched: dict[int, tuple[Tensor, Candidates]] = {}  # with the boxes as they were given
        self._pooled: PooledEmbedding | None = None

    def candidates(self, frame: int) -> Candidates:
        """The proposals of a frame with their embeddings, by falling objectness, and then the other boxes."""
        if frame not in self._proposals:
            (proposals,) = self._network.propose(
                self._features.get(frame),
                max_proposals=self._config.max_proposals,
                nms_iou=self._config.proposal_nms_iou,
            )
            self._proposals[frame] = self._embedded(frame, proposals.boxes.cpu(), proposals.objectness.cpu())
        if self._matched_boxes is None:
            return self._proposals[frame]
        boxes = self._matched_boxes(frame)
        if frame not in self._matched or self._matched[frame][0] is not boxes:
            self._matched[frame] = boxes, self._embedded(frame, boxes, torch.zeros(len(boxes)))
        return Candidates.cat([self._proposals[frame], self._matched[frame][1]])

    def _embedded(self, frame: int, boxes: Tensor, objectness: Tensor) -> Candidates:
        return Candidates(boxes, objectness, self.embed(frame, boxes))

    @torch.no_grad()
    def embed(self, frame: int, boxes: Tensor, masks: MaskPatches | None = None) -> Tensor:
        """(R, 4) -> (R, D) of unit length; pooled embeddings find the masks themselves where none are given."""
        features = self._features.get(frame)
        if self._config.embedding == "pooled" and self._pooled is None:
            self._pooled = PooledEmbedding(features)
        found = [torch.zeros(0, self._pooled.dim if self._pooled else self._network.embedding_dim)]
        for rows in torch.arange(len(boxes)).split(self._config.embed_batch) if len(boxes) else ():
            roi = roi_of(self._network, features, boxes[rows])
            if self._pooled is None:
                found.append(self._network.embed(roi).float().cpu())
            else:
                own = None if masks is None else masks[rows]
                found.append(self._embed_pooled(self._pooled, features, roi, boxes[rows], own))
        return torch.cat(found)

    def _embed_pooled(
        self,
        embedding: PooledEmbedding,
        features: FrameFeatures,
        roi: Tensor,
        boxes: Tensor,
        masks: MaskPatches | None,
    ) -> Tensor:
        if masks is None:
            probabilities = self._network.segment(roi).float().sigmoid()
        else:
            probabilities = masks.to(roi.device, torch.float32).sample(
                cell_centres(boxes.float().to(roi.device), self._network.mask_size)
            )
        fine = self._network.fine_roi_features(features, *in_frame(features, boxes))
        return embedding([roi] if fine is None else [roi, fine], probabilities).cpu()
