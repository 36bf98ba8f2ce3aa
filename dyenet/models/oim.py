"""Online Instance Matching, the loss of the re-identification network (Xiao et al. 2017; DyeNet Sec. 3.3)."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor, nn

from dyenet.registry import MODELS

UNLABELLED = -1
"""Label of an embedding that enters the circular queue and is nobody's target."""
EPSILON = 1e-4


@MODELS.register_module()
class OIMLoss(nn.Module):
    """Cross entropy over the cosines to a table of identities and a queue of unlabelled embeddings.

    ``table`` (L, D) keeps one running embedding per identity, ``queue`` (Q, D) the latest unlabelled ones; both
    are buffers, so they survive checkpoints. ``scale`` multiplies the cosines (10 is a temperature of 0.1).
    Slots that nothing has filled yet are left out of the softmax with ``mask_unseen``; otherwise they take part
    with a logit of 0, as in the released Caffe code.
    """

    table: Tensor
    seen: Tensor
    queue: Tensor
    head: Tensor
    filled: Tensor

    def __init__(
        self,
        *,
        num_identities: int,
        embedding_dim: int = 256,
        queue_size: int = 0,
        scale: float = 10.0,
        momentum: float = 0.5,
        mask_unseen: bool = True,
    ) -> None:
        super().__init__()
        self.scale, self.momentum, self.mask_unseen = scale, momentum, mask_unseen
        self.register_buffer("table", torch.zeros(num_identities, embedding_dim))
        self.register_buffer("seen", torch.zeros(num_identities, dtype=torch.bool))
        self.register_buffer("queue", torch.zeros(queue_size, embedding_dim))
        self.register_buffer("head", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._collected: list[tuple[Tensor, Tensor]] = []

    def losses(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(sum of the losses, number of them) over ``embeddings`` (R, D) of unit length, ``labels`` (R,).

        Labels are identities, or ``UNLABELLED``. An identity never seen before has no slot to be drawn to yet and
        gives no loss (with ``mask_unseen``). Without any target the sum is 0 and still has a graph.
        """
        if not len(self.table):
            return embeddings.sum() * 0, torch.zeros((), dtype=torch.long, device=labels.device)
        # a copy: update() writes into the buffers, maybe before the backward pass of accumulated steps
        slots = torch.cat([self.table, self.queue])
        logits = self.scale * embeddings.float() @ slots.T  # (R, L + Q)
        known = labels >= 0
        if self.mask_unseen:
            places = torch.arange(len(self.queue), device=labels.device) < self.filled
            logits = logits.masked_fill(~torch.cat([self.seen, places]), float("-inf"))
            known = known & self.seen[labels.clamp(min=0)]
        if not known.any():
            return embeddings.sum() * 0, known.sum()
        return F.cross_entropy(logits[known], labels[known], reduction="sum"), known.sum()

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean loss; 0 without any target."""
        total, count = self.losses(embeddings, labels)
        return total / count.clamp(min=1)

    def collect(self, embeddings: Tensor, labels: Tensor) -> None:
        """Keeps a batch's embeddings (R, D) and labels (R,) for ``update_collected``."""
        self._collected.append((embeddings.detach(), labels))

    def update_collected(self) -> None:
        """``update`` by all that was collected since the last call: several batches where gradients accumulate."""
        none = (self.table.new_zeros(0, self.table.shape[1]), self.head.new_zeros(0))
        embeddings, labels = zip(none, *self._collected, strict=True)
        self.update(torch.cat(embeddings), torch.cat(labels))
        self._collected.clear()

    @torch.no_grad()
    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Moves the table and the queue, one embedding after the other; call once per optimiser step.

        On several processes each makes the same updates with everybody's embeddings, in the order of the ranks.
        """
        embeddings, labels = _gather(embeddings.detach().float(), labels)
        for embedding, label in zip(embeddings, labels.tolist(), strict=True):
            if label >= 0:
                moved = self.momentum * self.table[label] + (1 - self.momentum) * embedding
                self.table[label] = F.normalize(moved, dim=0, eps=EPSILON)
                self.seen[label] = True
            elif label == UNLABELLED and len(self.queue):
                self.queue[self.head] = F.normalize(embedding, dim=0, eps=EPSILON)
                self.head.add_(1).remainder_(len(self.queue))
                self.filled.add_(1).clamp_(max=len(self.queue))


def _gather(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Everybody's embeddings and labels, in rank order; ranks may have different numbers of them."""
    world = get_world_size()
    if world == 1:
        return embeddings, labels
    counts = [torch.zeros(1, dtype=torch.long, device=labels.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(labels)], device=labels.device))
    most = max(int(c) for c in counts)
    padded = embeddings.new_zeros(most, embeddings.shape[1] + 1)
    padded[: len(labels), :-1], padded[: len(labels), -1] = embeddings, labels.to(embeddings.dtype)
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    rows = torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])
    return rows[:, :-1], rows[:, -1].long()
