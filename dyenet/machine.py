"""What the machine is fast at."""

from __future__ import annotations

from pathlib import Path

import torch


def is_fast_at_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` knows bf16: a GPU by its word, a CPU with AMX or AVX512-BF16; elsewhere it is emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux; the CPUs of other systems' machines have neither, or nobody can tell
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
