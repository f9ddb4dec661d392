"""Programs that reach out from their first instruction: a small count; tests/soak has 1,000."""

from pathlib import Path

import pytest

from support.attempts import ATTEMPTS
from support.ground import ground
from support.starts import start_in_a_row

pytestmark = pytest.mark.root

STARTS = 20


async def test_no_packet_gets_out_of_starts_in_a_row(tmp_path: Path) -> None:
    with ground() as place:
        before = place.arrived()
        assert place.pod.python(ATTEMPTS["tcp"]) == "through"
        assert place.arrived() > before
        starts = await start_in_a_row(place, tmp_path, count=STARTS)
        assert (starts.count, starts.leaked) == (STARTS, 0)
        assert len(starts.milliseconds) == STARTS
