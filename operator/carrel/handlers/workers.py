"""Workers: take a key, call its flow once, put it back as the flow says."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from carrel.cluster.errors import ClusterError, Conflict
from carrel.flows.dataset import reconcile_dataset
from carrel.flows.grant import reconcile_grant
from carrel.flows.ingest_job import reconcile_ingest
from carrel.flows.surroundings import Surroundings
from carrel.flows.workspace import reconcile_workspace
from carrel.handlers.queue import Key, Work, WorkQueue
from carrel.ledger import LedgerError

_log = logging.getLogger(__name__)

Flow = Callable[[str, Surroundings], Awaitable[datetime | None]]

FLOWS: Mapping[Work, Flow] = {
    Work.GRANT: reconcile_grant,
    Work.WORKSPACE: reconcile_workspace,
    Work.DATASET: reconcile_dataset,
    Work.INGEST: reconcile_ingest,
}

_LONGEST_SECONDS = 120.0
"""A flow that takes longer hangs; it is cancelled and tried again."""

_LONG_PAUSE = timedelta(seconds=4)
"""A pause that comes after so many failures in a row that people should hear of them."""

STUCK_SECONDS = 300.0
"""Work that waits while no pass has ended for this long means that nothing works."""


class Workers:
    """A fixed number of workers on one queue."""

    def __init__(
        self, queue: WorkQueue, around: Surroundings, *, registry: CollectorRegistry
    ) -> None:
        self._queue = queue
        self._around = around
        self._ended = time.monotonic()
        self._seconds = Histogram(
            "carrel_reconcile_seconds",
            "Time of one pass over one object",
            ["work"],
            registry=registry,
        )
        self._failures = Counter(
            "carrel_reconcile_failures",
            "Passes that ended in an error",
            ["work", "error"],
            registry=registry,
        )
        Gauge("carrel_queue_depth", "Objects that wait", registry=registry).set_function(
            lambda: float(queue.depth)
        )
        Gauge(
            "carrel_queue_oldest_seconds", "How long the front has waited", registry=registry
        ).set_function(lambda: queue.oldest.total_seconds())  # noqa: PLW0108 - `oldest` is asked anew

    async def run(self, count: int) -> None:
        """Work with `count` workers for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._work_for_ever())

    def stuck(self) -> str | None:
        """Say that nothing is being worked off, if so; a long queue alone is no such sign."""
        idle = time.monotonic() - self._ended
        if not self._queue.depth or idle < STUCK_SECONDS:
            return None
        return f"{self._queue.depth} objects wait and no pass has ended for {idle:.0f} s"

    async def _work_for_ever(self) -> None:
        while True:
            await self.work_once(await self._queue.get())

    async def work_once(self, key: Key) -> None:
        """Work on one key; an error is logged, counted and tried again, and never leaves."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                again = await FLOWS[key.work](key.name, self._around)
        except (ClusterError, LedgerError, TimeoutError) as error:
            self._failed(key, error)
        except Exception as error:  # noqa: BLE001 - one object must not end the operator
            _log.exception("%s %s: a fault of ours", key.work, key.name)
            self._failed(key, error)
        else:
            self._queue.done(key, again=again)
        finally:
            self._ended = time.monotonic()
            self._seconds.labels(key.work).observe(time.monotonic() - begun)

    def _failed(self, key: Key, error: Exception) -> None:
        pause = self._queue.failed(key)
        self._failures.labels(key.work, type(error).__name__).inc()
        # Somebody wrote first: no event to wake people for, unless it is so again and again.
        common = isinstance(error, Conflict) and pause < _LONG_PAUSE
        level = logging.DEBUG if common else logging.WARNING
        _log.log(
            level, "%s %s: %s; again in %.1f s", key.work, key.name, error, pause.total_seconds()
        )
