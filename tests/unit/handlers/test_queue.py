"""The work queue: merges, orders, delays; one worker per object."""

from datetime import timedelta

from carrel.flows.clock import FixedClock
from carrel.handlers.queue import Key, Lane, Work, WorkQueue
from support import examples

A, B, C = (Key(Work.GRANT, name) for name in "abc")


def queue() -> tuple[WorkQueue, FixedClock]:
    """Return an empty queue and its clock."""
    clock = FixedClock(examples.NOW)
    return WorkQueue(clock), clock


async def drained(waiting: WorkQueue) -> list[Key]:
    """Take everything that waits now."""
    taken = []
    while waiting.depth:
        taken.append(await waiting.get())
        waiting.done(taken[-1])
    return taken


async def test_many_changes_of_one_object_are_one_piece_of_work():
    """Work depends on what is true, not on how it came about."""
    waiting, _ = queue()
    for key in (A, B, A, A, B):
        waiting.put(key)
    assert await drained(waiting) == [A, B]


async def test_what_may_stop_something_goes_first():
    """Also when it waited already to start something."""
    waiting, _ = queue()
    for key in (A, B, C):
        waiting.put(key)
    waiting.put(C, lane=Lane.STOP)
    waiting.put(C)
    assert await drained(waiting) == [C, A, B]


async def test_a_change_during_the_work_brings_it_back_once():
    """No two workers on one object, and no change is lost."""
    waiting, _ = queue()
    waiting.put(A)
    assert await waiting.get() == A
    waiting.put(A)
    waiting.put(A, lane=Lane.STOP)
    assert waiting.depth == 0
    waiting.done(A)
    assert await drained(waiting) == [A]


async def test_later_becomes_now_when_its_time_has_come():
    """The earlier of two times holds."""
    waiting, clock = queue()
    now = clock.now()
    waiting.put_at(A, now + timedelta(hours=2))
    waiting.put_at(A, now + timedelta(hours=1))
    waiting.put_at(A, now + timedelta(hours=3))
    waiting.hurry(until=now + timedelta(minutes=59))
    assert waiting.depth == 0
    waiting.hurry(until=now + timedelta(hours=1))
    assert await drained(waiting) == [A]
    waiting.hurry(until=now + timedelta(hours=4))
    assert waiting.depth == 0


async def test_failures_wait_longer_each_time_and_at_most_a_minute():
    """A success forgets them."""
    waiting, _ = queue()
    pauses = []
    for _ in range(12):
        waiting.put(A)
        pauses.append(waiting.failed(await waiting.get()).total_seconds())
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    waiting.put(A)
    waiting.done(await waiting.get())
    waiting.put(A)
    assert waiting.failed(await waiting.get()) == timedelta(seconds=0.25)


async def test_a_change_during_a_failing_pass_is_tried_at_once():
    """The change may be what it failed for want of."""
    waiting, _ = queue()
    waiting.put(A)
    await waiting.get()
    waiting.put(A)
    waiting.failed(A)
    assert await drained(waiting) == [A]


async def test_the_front_says_how_long_it_has_waited():
    """A front that waits for minutes means that nothing works."""
    waiting, clock = queue()
    assert waiting.oldest == timedelta(0)
    waiting.put(A)
    clock.advance(timedelta(seconds=90))
    waiting.put(B)
    assert waiting.oldest == timedelta(seconds=90)
