"""A thousand starts with a program that reaches out from its first instruction."""

from pathlib import Path

import pytest

from support.ground import ground
from support.starts import start_in_a_row

pytestmark = pytest.mark.root

STARTS = 1_000


async def test_no_packet_gets_out_of_a_thousand_starts(tmp_path: Path) -> None:
    with ground() as place:
        starts = await start_in_a_row(place, tmp_path, count=STARTS)
    assert (starts.count, starts.leaked) == (STARTS, 0)
    # Latency is a figure, not a verdict: machines are noisy.
    print(
        f"agent's work per start: p50 {starts.percentile(50):.0f} ms, p99 {starts.percentile(99):.0f} ms"
    )
