"""Programs that reach out from their first instruction: a small count; tests/soak has 10,000."""

from pathlib import Path

import pytest

from support.racing import race

pytestmark = pytest.mark.root

STARTS, CONTROL_EVERY = 40, 10


async def test_no_packet_gets_out_of_starts_that_race(tmp_path: Path) -> None:
    starts = await race(
        tmp_path, count=STARTS, lanes=2, control_every=CONTROL_EVERY, seed=1, progress=print
    )
    assert (starts.count, starts.admitted, starts.leaked) == (STARTS, STARTS, 0)
    assert starts.controls == starts.controls_through == STARTS // CONTROL_EVERY
    assert len(starts.milliseconds) == STARTS
