"""Kill -9 of each part of the agent at 300 random moments, in starts, in runs and in upgrades."""

import os
import sys
from pathlib import Path

import pytest

from carrel.node.gate import ADMITTED
from support.killing import kill_at_random

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("CARREL_AGENT_KILLS", "300"))


async def test_three_hundred_kills_leave_nothing_open_and_nothing_uncounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def progress(line: str) -> None:
        with capsys.disabled():
            print(line, file=sys.stderr, flush=True)

    told = await kill_at_random(tmp_path, kills=KILLS, seed=1, progress=progress)
    progress(str(told))
    assert (told.leaked, told.controls_through, told.faults) == (0, 2, 0)
    assert told.recorded + told.lost == told.counted > 0
    assert told.starts[ADMITTED] > 0
    assert {"LockTampered", "WorkspaceFrozen"}.isdisjoint(told.activities)
