from __future__ import annotations

import pytest
import torch

from dyenet import machine


@pytest.mark.parametrize(
    ("info", "fast"),
    [
        ("vendor_id: AuthenticAMD\nflags: fpu avx512f avx512_bf16", True),  # Zen 4 and later
        ("vendor_id: GenuineIntel\nflags: fpu avx512f avx512_bf16", False),  # AMX is hidden, or not there
        ("vendor_id: GenuineIntel\nflags: fpu avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("vendor_id: AuthenticAMD\nflags: fpu avx2", False),
    ],
)
def test_a_cpu_is_fast_at_bf16_where_its_instructions_beat_float32(tmp_path, monkeypatch, info, fast):
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert machine.is_fast_at_bfloat16(torch.device("cpu")) is fast


def test_a_system_without_that_file_takes_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    assert not machine.is_fast_at_bfloat16(torch.device("cpu"))
