"""An evaluation of the size of DAVIS 2017 val, timed."""

from __future__ import annotations

import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest
from trees import davis_tree, save_masks

from dyenet.data.readers import open_dataset
from dyenet.evaluation.scoring import score

LENGTHS = [67] * 19 + [66] * 11
OBJECTS = [2] * 29 + [3]


def wavy_masks(seed: int, length: int, num_objects: int, jitter: float) -> list[np.ndarray]:
    """854x480 index masks of moving, wobbling shapes; ``jitter`` in pixels makes a prediction of them."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    centres, speeds = (
        rng.uniform([150, 100], [700, 380], (num_objects, 2)),
        rng.uniform(-3, 3, (num_objects, 2)),
    )
    radii, waves = rng.uniform(50, 150, num_objects), rng.uniform(0, 0.12, (num_objects, 6))
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    masks = []
    for t in range(length):
        mask = np.zeros((480, 854), np.uint8)
        for k in range(num_objects):
            wobble = sum(a * np.sin((i + 2) * angles + 0.1 * t) for i, a in enumerate(waves[k]))
            radius = radii[k] * (1 + wobble) + jitter * noise.normal()
            points = (
                centres[k] + speeds[k] * t + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
            )
            cv2.fillPoly(mask, [points.astype(np.int32)], k + 1)
        masks.append(mask)
    return masks


@pytest.mark.slow
def test_an_evaluation_of_the_size_of_davis_2017_val(tmp_path):
    for seed, (length, num_objects) in enumerate(zip(LENGTHS, OBJECTS, strict=True)):
        name = f"s{seed:02d}"
        save_masks(tmp_path / "pred", {name: wavy_masks(seed, length, num_objects, 3.0)})
        save_masks(
            tmp_path / "data" / "Annotations" / "480p", {name: wavy_masks(seed, length, num_objects, 0.0)}
        )
    davis_tree(tmp_path / "data", {f"s{seed:02d}": [] for seed in range(30)})
    before = cpu_seconds()
    result = score(open_dataset("davis2017", tmp_path / "data", "val"), tmp_path / "pred", workers=2)
    busy = cpu_seconds() - before
    assert len(result.objects) == 61
    assert 0.8 < result.total.j.mean < 1
    print(
        f"\n1,999 frames, 61 objects: {result.seconds:.1f} s, of which {busy:.1f} s of computing on two processes"
    )
    assert busy / 2 < 10  # what it takes on two cores that nobody else uses


def cpu_seconds() -> float:
    """Of this process and its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def test_evaluating_does_not_load_torch():
    """It would take longer to load than most evaluations to run."""
    code = "import sys, dyenet.evaluation.scoring; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
