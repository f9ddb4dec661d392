"""The operator process, from its settings to its end."""

import asyncio
import logging
from collections.abc import Awaitable

import kopf
from prometheus_client import CollectorRegistry, ProcessCollector

from carrel.cluster import ChangeType, Cluster, connect
from carrel.cluster.refs import JOB
from carrel.flows.clock import Clock, SystemClock
from carrel.flows.process import endpoint
from carrel.flows.store import Store
from carrel.flows.surroundings import Surroundings
from carrel.handlers import watches
from carrel.handlers.feed import Feed
from carrel.handlers.queue import WorkQueue
from carrel.handlers.scope import KNOWN
from carrel.handlers.settings import Settings
from carrel.handlers.startup import require_kinds
from carrel.handlers.workers import Workers
from carrel.ledger import Chain, open_chain

_log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the operator until it is told to end."""
    clock = SystemClock()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    async with connect(settings.kubeconfig, user_agent="carrel-operator") as cluster:
        await require_kinds(cluster)
        with open_chain(settings.ledger_dir, process="operator", clock=clock) as ledger:
            await _work(settings, cluster, ledger, clock=clock, registry=registry)


async def _work(
    settings: Settings,
    cluster: Cluster,
    ledger: Chain,
    *,
    clock: Clock,
    registry: CollectorRegistry,
) -> None:
    store, queue = Store(), WorkQueue(clock)
    feed = Feed(store, queue, registry=registry)
    around = Surroundings(
        cluster=cluster,
        store=store,
        ledger=ledger,
        clock=clock,
        facts=settings.facts,
        site=settings.site,
    )
    workers = Workers(queue, around, registry=registry)

    def health() -> str | None:
        return feed.dead_watch() or workers.stuck() or ledger.trouble or None

    async with endpoint(port=settings.metrics_port, health=health, registry=registry):
        await feed.fill(cluster, KNOWN, namespace=settings.namespace)
        _log.info("the operator begins: %d objects to look at", queue.depth)
        await _until_first(
            kopf.operator(
                registry=watches.registry(feed, kubeconfig=settings.kubeconfig),
                settings=watches.settings(),
                standalone=True,
                clusterwide=True,
            ),
            workers.run(settings.workers),
            queue.run(),
            _watch_jobs(cluster, feed, namespace=settings.namespace),
            feed.audit_for_ever(
                cluster,
                KNOWN,
                period=float(settings.audit_seconds),
                namespace=settings.namespace,
            ),
        )
    _log.info("the operator ends")


async def _watch_jobs(cluster: Cluster, feed: Feed, *, namespace: str) -> None:
    """Watch the platform's own Jobs; Kopf would need to see those of every namespace."""
    async for change in cluster.watch(JOB, namespace=namespace):
        if change.type is ChangeType.DELETED:
            feed.told_gone(change.object)
        elif change.type is not ChangeType.SYNCED:
            feed.told(change.object)


async def _until_first(*parts: Awaitable[None]) -> None:
    """Run all parts until one ends; Kopf ends on SIGTERM. Errors are raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
