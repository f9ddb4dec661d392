"""Workers: no object ends the operator, and a dead operator says so."""

from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from carrel.cluster.errors import Unavailable
from carrel.flows.surroundings import Surroundings
from carrel.handlers import workers as working
from carrel.handlers.queue import Key, Work
from carrel.handlers.workers import Workers
from support import examples
from support.operator_world import World

KEY = Key(Work.GRANT, "any")


async def _pass(world: World, monkeypatch: pytest.MonkeyPatch, outcome: object) -> Workers:
    async def flow(_: str, __: Surroundings) -> datetime | None:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome if isinstance(outcome, datetime) else None

    monkeypatch.setattr(working, "FLOWS", {Work.GRANT: flow})
    workers = Workers(world.queue, world.around(), registry=CollectorRegistry())
    world.queue.put(KEY)
    await workers.work_once(await world.queue.get())
    return workers


@pytest.mark.parametrize(
    "error", [Unavailable("away", call="get"), KeyError("ours"), TimeoutError()], ids=repr
)
async def test_an_error_brings_the_object_back_and_never_leaves(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    """Whatever is raised: one object must not end the operator."""
    world = World()
    await _pass(world, monkeypatch, error)
    assert (world.queue.depth, world.queue.busy) == (0, 0)
    world.queue.hurry(until=examples.NOW + timedelta(milliseconds=250))
    assert await world.queue.get() == KEY


async def test_an_object_comes_back_when_its_flow_says(monkeypatch: pytest.MonkeyPatch):
    """The end of a grant needs no event."""
    world = World()
    await _pass(world, monkeypatch, examples.NOW + timedelta(days=7))
    world.queue.hurry(until=examples.NOW + timedelta(days=6))
    assert world.queue.depth == 0
    world.queue.hurry(until=examples.NOW + timedelta(days=7))
    assert world.queue.depth == 1


async def test_only_work_that_nobody_does_is_a_reason_to_be_restarted(
    monkeypatch: pytest.MonkeyPatch,
):
    """Ten thousand grants that wait are a long queue; a restart would only lengthen it."""
    world = World()
    workers = await _pass(world, monkeypatch, None)
    world.queue.put(KEY)
    world.clock.advance(timedelta(hours=1))
    assert workers.stuck() is None
    monkeypatch.setattr(working, "STUCK_SECONDS", 0.0)
    assert (workers.stuck() or "").startswith("1 objects wait and no pass has ended")
    await world.queue.get()
    assert workers.stuck() is None
