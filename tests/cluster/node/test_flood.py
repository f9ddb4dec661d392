"""One workspace floods its lock: blocked, and counted to the last packet; a short while."""

from pathlib import Path

import pytest

from support.flooding import flood
from support.ground import ground

pytestmark = pytest.mark.root

SECONDS = 2.0


async def test_a_flood_is_blocked_and_every_packet_is_accounted_for(tmp_path: Path) -> None:
    with ground() as attacker, ground() as neighbour:
        told = await flood(attacker, neighbour, tmp_path, seconds=SECONDS, rate=0, parts=1)
    assert told.leaked == 0
    assert told.counted >= told.sent > 0
    assert told.recorded + told.lost == told.counted
    assert told.refused.flooded
    assert told.loopback.flooded
