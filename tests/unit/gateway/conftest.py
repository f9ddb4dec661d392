"""A gateway and a person in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.door_world import Browser, DoorWorld, door_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DoorWorld]:
    """Run a gateway before one ready workspace of ada's."""
    async with door_world(tmp_path) as made:
        yield made


@pytest.fixture
async def ada(world: DoorWorld) -> AsyncIterator[Browser]:
    """Give a browser that is logged in and in its workspace."""
    async with world.browser() as browser:
        await browser.log_in()
        await browser.enter()
        yield browser
