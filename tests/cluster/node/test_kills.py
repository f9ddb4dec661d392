"""Kill -9 of each part of the agent at random moments: a few; tests/soak has 300."""

from pathlib import Path

import pytest

from carrel.node.gate import ADMITTED
from support.killing import kill_at_random, two_at_once

pytestmark = pytest.mark.root

KILLS = 8


async def test_an_agent_that_is_killed_leaves_nothing_open_and_nothing_uncounted(
    tmp_path: Path,
) -> None:
    told = await kill_at_random(tmp_path, kills=KILLS, seed=3, progress=print)
    assert told.leaked == 0
    assert told.controls_through == 2, "with no lock the same program gets through"
    assert told.recorded + told.lost == told.counted
    assert told.counted > 0
    assert told.starts[ADMITTED] > 0
    assert {"LockTampered", "WorkspaceFrozen"}.isdisjoint(told.activities)
    assert told.faults == 0


async def test_two_agents_at_once_open_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    told = await two_at_once(tmp_path)
    assert (told.leaked, told.controls_through, told.faults) == (0, 1, 0)
    assert told.recorded + told.lost == told.counted > 0
    assert {"LockTampered", "WorkspaceFrozen"}.isdisjoint(told.activities)
