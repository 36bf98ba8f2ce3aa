"""What the machine is fast at."""

from __future__ import annotations

from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")


def is_fast_at_bfloat16(device: torch.device) -> bool:
    """Whether bf16 beats float32 on ``device``: a GPU by its word, a CPU with AMX, or AMD's with AVX512-BF16 (Intel's
    without AMX have the same instructions, and take 1.4 times as long as in float32); elsewhere it is emulated.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        flags = CPU_INFO.read_text()
    except OSError:  # no Linux; the CPUs of other systems' machines have neither, or nobody can tell
        return False
    return "amx_bf16" in flags or ("avx512_bf16" in flags and "AuthenticAMD" in flags)
