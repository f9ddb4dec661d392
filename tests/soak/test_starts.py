"""Ten thousand starts with a program that reaches out from its first instruction."""

import os
import sys
from pathlib import Path

import pytest

from support.racing import race

pytestmark = pytest.mark.root

STARTS = int(os.environ.get("CARREL_RACING_STARTS", "10000"))
CONTROL_EVERY = 250


async def test_no_packet_gets_out_of_ten_thousand_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def progress(line: str) -> None:
        with capsys.disabled():
            print(line, file=sys.stderr, flush=True)

    starts = await race(
        tmp_path, count=STARTS, lanes=2, control_every=CONTROL_EVERY, seed=1, progress=progress
    )
    assert (starts.count, starts.admitted, starts.leaked) == (STARTS, STARTS, 0)
    assert starts.controls == starts.controls_through == STARTS // CONTROL_EVERY
    # Latency is a figure, not a verdict: machines are noisy.
    progress(f"agent's work: p50 {starts.percentile(50):.0f} ms, p99 {starts.percentile(99):.0f}")
