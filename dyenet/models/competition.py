"""Objects that are followed at once compete for what they show: not in the papers, which tell objects apart only when
all masks are merged in the end, so that a mask that has taken in another object goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dyenet.structures import MaskPatches, cell_centres


@torch.no_grad()
def share_out(patches: MaskPatches, frames: Sequence[int], object_ids: Sequence[int]) -> Tensor:
    """(R, s, s) in [0, 1]: the share of each cell's probability p that is left to it. Where another object is more
    probable in the same frame, with q, that is (1 - q) / p, at most 1, so that p becomes what q leaves.

    ``frames`` and ``object_ids``, of length R, say which masks are in one frame, and whose.
    """
    left = torch.ones_like(patches.probabilities)
    for row, (frame, object_id) in enumerate(zip(frames, object_ids, strict=True)):
        others = [k for k, other in enumerate(object_ids) if frames[k] == frame and other != object_id]
        if not others:
            continue
        points = cell_centres(patches.boxes[[row]], patches.size).expand(len(others), -1, -1, -1)
        rival, own = patches[others].sample(points).amax(dim=0), patches.probabilities[row]
        left[row] = torch.where(rival > own, ((1 - rival) / own.clamp(min=1e-6)).clamp(max=1), 1.0)
    return left
