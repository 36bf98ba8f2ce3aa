import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests/inference/oracle.py, hand_made.py


@pytest.fixture(scope="session")
def tiny_model():
    """The ``small`` config shrunk, with random weights."""
    import torch

    from dyenet.config import load_config
    from dyenet.inference.config import InferenceConfig
    from dyenet.inference.loading import Model
    from dyenet.registry import MODELS

    slim = ["width=16", "hidden_channels=24", "output_channels=16"]
    heads = [f"model.{head}.{s}" for head in ("reid_head", "propagation_head") for s in slim]
    config = load_config("dyenet/small.py", [*heads, "model.rpn.channels=16", "model.patch_size=14"])
    torch.manual_seed(0)
    network = MODELS.build(config.model).eval().requires_grad_(False)
    return Model(
        "tiny", network, config, InferenceConfig(), torch.device("cpu"), torch.float32, {"file": None}
    )
