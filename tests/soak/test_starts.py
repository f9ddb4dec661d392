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
    p50, p99 = (starts.percentile(share) for share in (50, 99))
    print(f"work of the agent per start: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
