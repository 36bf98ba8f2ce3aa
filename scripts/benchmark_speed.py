"""Seconds per frame and peak memory of ``dyenet segment``, per model, as a Markdown table.

One synthetic clip with three objects. Every run is a process of its own, so that its peak memory is its own;
the trunk alone is timed in the same process as the whole run. Weights do not matter for speed or memory.

    python scripts/benchmark_speed.py                       # small and r101, 50 and 400 frames: takes hours on a CPU
    python scripts/benchmark_speed.py --models small --quick
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time

OBJECTS = 3


def main() -> None:
    options = _options()
    if options.measure:
        print(json.dumps(measure(options.models[0], options.frames[0], options)))
        return
    rows = []
    for model in options.models:
        for frames in options.frames:
            print(f"{model}, {frames} frames ...", file=sys.stderr)
            rows.append(_in_own_process(model, frames, options))
    print(table(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["small", "r101"])
    parser.add_argument("--frames", nargs="+", type=int, default=[50, 400])
    parser.add_argument("--size", default="854x480", metavar="WxH")
    parser.add_argument("--schedule", default="iterative", choices=["iterative", "checkpointed"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--quick", action="store_true", help="8 and 16 frames: checks the script, not the speed")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick and not options.measure:
        options.frames = [8, 16]
    return options


def _in_own_process(model: str, frames: int, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--measure", "--models", model, "--frames", str(frames)]
    for name in ("size", "schedule", "device", "dtype"):
        command += [f"--{name}", getattr(options, name)]
    for override in options.overrides:
        command += ["--set", override]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict], machine: str) -> str:
    """The measurements as Markdown: one row per model and length, then where the time went."""
    lines = [
        machine,
        "",
        "| model | frames | dtype | s/frame, whole | s/frame, trunk alone | whole / trunk | peak memory, MB | patches, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['model']} | {r['frames']} | {r['dtype']} | {r['whole']:.3f} | {r['trunk']:.3f} "
        f"| {r['whole'] / r['trunk']:.2f} | {r['peak']:.0f} | {r['patches']:.1f} |"
        for r in rows
    ]
    stages = list(dict.fromkeys(stage for r in rows for stage in r["stages"]))
    lines += ["", f"| model | frames | {' | '.join(f'{s}, s' for s in stages)} |", "|---" * (len(stages) + 2) + "|"]
    for r in rows:
        cells = " | ".join(f"{r['stages'].get(stage, 0):.1f}" for stage in stages)
        lines.append(f"| {r['model']} | {r['frames']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
