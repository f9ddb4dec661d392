"""From what a watch tells to work: remember it, and queue what follows from it."""

import asyncio
import logging
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from carrel.cluster import Cluster
from carrel.cluster.errors import ClusterError
from carrel.cluster.refs import JOB, JSON, KindRef, Ref, ref_of
from carrel.flows.store import Source, Store
from carrel.handlers.queue import WorkQueue
from carrel.handlers.routes import all_keys, keys_of, keys_of_ours, lane_of, told_of
from carrel.handlers.scope import AUDITED, MADE, OUR_LABEL

_log = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0
"""How long a watch may lag behind a list before it counts as having missed something."""

_DEAD_AFTER = 2
"""Audits in a row that find missed changes before a watch is called dead."""


class Feed:
    """Keeps the store true and the queue filled."""

    def __init__(self, store: Store, queue: WorkQueue, *, registry: CollectorRegistry) -> None:
        self._store = store
        self._queue = queue
        store.follow = self._follow
        self._misses: dict[KindRef, int] = {}
        self._missed = Counter(
            "carrel_watch_missed",
            "Changes that an audit found and the watch had not told",
            ["kind"],
            registry=registry,
        )

    def told(self, obj: JSON) -> None:
        """Take in an object as it is now; nothing follows where nothing we read has changed."""
        self._store.put(obj, source=Source.SERVER)

    def told_gone(self, obj: JSON) -> None:
        """Take in that an object is gone."""
        self._store.remove(obj)

    async def fill(self, cluster: Cluster, kinds: Iterable[KindRef], *, namespace: str) -> None:
        """Learn everything there is before any work begins, then queue all of it."""
        for kind in kinds:
            self._store.replace(kind, await listed(cluster, kind, namespace=namespace))
        for key in all_keys(self._store):
            self._queue.put(key)

    async def audit(self, cluster: Cluster, kind: KindRef, *, namespace: str) -> None:
        """Hold what is remembered of a kind against a full list, and mend it.

        A difference that the watch mends by itself within a few seconds was only on its
        way; one that stands unchanged was missed.
        """
        before = {*self._store.refs(kind)}
        objects = await listed(cluster, kind, namespace=namespace)
        present = {ref_of(obj) for obj in objects}
        # What we made while the list was under way is not in it, and is not gone either.
        suspects = {
            ref: versions
            for ref, versions in self._differing(kind, objects).items()
            if ref in before or ref in present
        }
        if kind in AUDITED:
            self._mend(suspects, objects)
            return
        if not suspects:
            self._misses[kind] = 0
            return
        await asyncio.sleep(SETTLE_SECONDS)
        objects = await listed(cluster, kind, namespace=namespace)
        still = self._differing(kind, objects)
        missed = {ref for ref, versions in still.items() if suspects.get(ref) == versions}
        self._misses[kind] = self._misses.get(kind, 0) + 1 if missed else 0
        for ref in missed:
            _log.warning("the watch of %s missed a change of %s", kind.plural, ref)
            self._missed.labels(kind.kind).inc()
        self._mend(missed, objects)

    def _mend(self, refs: Iterable[Ref], objects: list[JSON]) -> None:
        present = {ref_of(obj): obj for obj in objects}
        for ref in refs:
            if ref in present:
                self.told(present[ref])
            elif (gone := self._store.get(ref)) is not None:
                self.told_gone(gone)

    async def audit_for_ever(
        self, cluster: Cluster, kinds: tuple[KindRef, ...], *, period: float, namespace: str
    ) -> None:
        """Audit every kind once a period, one after the other."""
        while True:
            for kind in kinds:
                await asyncio.sleep(period / len(kinds))
                try:
                    await self.audit(cluster, kind, namespace=namespace)
                except ClusterError as error:
                    _log.warning("audit of %s put off: %s", kind.plural, error)

    def dead_watch(self) -> str | None:
        """Name a watch that does not tell what happens, if there is one."""
        dead = [kind.plural for kind, times in self._misses.items() if times >= _DEAD_AFTER]
        return f"the watch of {', '.join(sorted(dead))} is dead" if dead else None

    def _differing(self, kind: KindRef, objects: list[JSON]) -> dict[Ref, tuple[str, str]]:
        """Return what differs: the version that the server has of it, and that we have."""
        listed_versions = {ref_of(obj): str(obj["metadata"]["resourceVersion"]) for obj in objects}
        refs = {*listed_versions, *self._store.refs(kind)}
        pairs = {ref: (listed_versions.get(ref, ""), self._store.version(ref)) for ref in refs}
        return {ref: pair for ref, pair in pairs.items() if pair[0] != pair[1]}

    def _follow(self, obj: JSON, source: Source) -> None:
        lane = lane_of(obj)
        follows = keys_of if source is Source.SERVER else keys_of_ours
        for key in follows(obj, self._store):
            self._queue.put(key, lane=lane)
        for key in told_of(obj):
            self._queue.put_lazily(key)


async def listed(cluster: Cluster, kind: KindRef, *, namespace: str) -> list[JSON]:
    """Return all objects of a kind that are watched."""
    return await cluster.list(
        kind,
        namespace=namespace if kind == JOB else None,
        labels=OUR_LABEL if kind in MADE else None,
    )
