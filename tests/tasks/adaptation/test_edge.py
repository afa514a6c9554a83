"""What the adaptation's stages share at their edge."""

from __future__ import annotations

import pytest

from tasks.adaptation.edge import computes_in_bfloat16


@pytest.mark.parametrize(
    ("capabilities", "yes"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({"architecture": "aarch64", "bf16": False}, False),
        ({}, False),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_has_it(capabilities: dict[str, object], yes: bool) -> None:
    assert computes_in_bfloat16(capabilities) is yes
