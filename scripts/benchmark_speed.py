"""Seconds per frame and peak memory of a segmentation, per model, as a Markdown table.

One synthetic clip with three objects. Every run is a process of its own, so that its peak memory is its own; the
trunk alone is timed in the same process, after the run. Its share of time and memory depends little on the
weights, but random ones find more starting points to propagate than trained ones.

    python scripts/benchmark_speed.py                           # small and r101 at 50 and 400 frames: hours on a CPU
    python scripts/benchmark_speed.py --models small --quick
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from dyenet import VideoSession, load_model, open_video
from dyenet.cli.common import parse_size
from dyenet.data.masks import read_index_mask, write_index_mask
from dyenet.data.synthetic import Scenario, SyntheticVideo
from dyenet.inference.stopwatch import peak_memory_mb

OBJECTS = 3
TRUNK_FRAMES = 8


def main() -> None:
    options = _options()
    if options.clip:
        print(json.dumps(measure(options)))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="dyenet-speed-") as folder:
        for frames in options.frames:
            clip = Path(folder, str(frames))
            print(f"making a clip of {frames} frames ...", file=sys.stderr, flush=True)
            make_clip(clip, frames, parse_size(options.size))
            for model in options.models:
                print(f"{model}, {frames} frames ...", file=sys.stderr, flush=True)
                rows.append(_in_own_process(model, clip, options))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows, f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["small", "r101"])
    parser.add_argument("--frames", nargs="+", type=int, default=[50, 400])
    parser.add_argument("--size", default="854x480", metavar="WxH")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument(
        "--quick", action="store_true", help="8 and 16 frames: tries the script, not the speed"
    )
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)  # set in the process that measures
    options = parser.parse_args()
    if options.quick:
        options.frames = [8, 16]
    return options


def make_clip(folder: Path, frames: int, size: tuple[int, int]) -> None:
    """frames/*.jpg and first.png; rendered one frame at a time."""
    scene = SyntheticVideo(
        0, num_frames=frames, size=size, scenario=Scenario(num_objects=OBJECTS, occlusion=True)
    )
    (folder / "frames").mkdir(parents=True)
    for index in range(frames):
        rendering = scene.render(index)
        Image.fromarray(scene.frame(index, rendering)).save(
            folder / "frames" / f"{index:05d}.jpg", quality=95
        )
        if index == 0:
            write_index_mask(folder / "first.png", rendering.mask)


def _in_own_process(model: str, clip: Path, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--models", model, "--clip", str(clip)]
    command += ["--device", options.device, "--dtype", options.dtype]
    for override in options.overrides:
        command += ["--set", override]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> dict:
    """One run over ``options.clip``, labels included, then the trunk alone on its first frames."""
    model = load_model(
        options.models[0], device=options.device, dtype=options.dtype, overrides=options.overrides
    )
    video = open_video(options.clip / "frames")
    start = time.perf_counter()
    with VideoSession(model, video) as session:
        session.add_masks(0, read_index_mask(options.clip / "first.png"))
        result = session.run()
        for index in range(len(video)):
            result.labels(index)
    whole = time.perf_counter() - start
    peak = peak_memory_mb()
    kept = [patch for tube in result.tubes.values() for patch in tube.patches.values()]
    return {
        "model": model.name,
        "frames": len(video),
        "dtype": str(model.dtype).removeprefix("torch."),
        "whole": whole / len(video),
        "trunk": trunk_seconds(model, video, result.working_size),
        "stages": {stage: round(seconds, 2) for stage, seconds in result.report["seconds"].items()},
        "peak": peak,
        "patches": sum(p.probabilities.nbytes + p.boxes.nbytes for p in kept) / 2**20,
    }


@torch.no_grad()
def trunk_seconds(model, video, size: tuple[int, int]) -> float:
    """Seconds per frame of ``size`` of the trunk alone: the median over some frames, after one to warm up."""
    if not hasattr(model.network, "extract_features"):  # VS-ReID and MSK see patches, or every object apart
        return float("nan")
    seconds = []
    for index in range(min(TRUNK_FRAMES, len(video))):
        image = torch.from_numpy(video[index]).to(model.device).permute(2, 0, 1)[None].float()
        image = torch.nn.functional.interpolate(image, size=size, mode="bilinear")
        start = time.perf_counter()
        model.network.extract_features(image).coarse.sum().item()  # .item() waits for a GPU
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:] or seconds)[len(seconds[1:]) // 2]


def table(rows: list[dict], machine: str) -> str:
    """The measurements as Markdown: one row per model and length, then where the time went."""
    lines = [
        machine,
        "",
        "| model | frames | dtype | whole, s/frame | trunk alone, s/frame | whole / trunk | peak, MiB | patches, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['model']} | {r['frames']} | {r['dtype']} | {r['whole']:.3f} | {r['trunk']:.3f} "
        f"| {r['whole'] / r['trunk']:.2f} | {r['peak']:.0f} | {r['patches']:.1f} |"
        for r in rows
    ]
    stages = list(dict.fromkeys(stage for r in rows for stage in r["stages"]))
    lines += [
        "",
        f"| model | frames | {' | '.join(f'{s}, s' for s in stages)} |",
        "|---" * (len(stages) + 2) + "|",
    ]
    for r in rows:
        cells = " | ".join(f"{r['stages'].get(stage, 0):.1f}" for stage in stages)
        lines.append(f"| {r['model']} | {r['frames']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
