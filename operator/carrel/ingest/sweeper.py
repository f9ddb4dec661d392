"""Empties staging: when a dataset stands, when its ingest is gone, and after a day in any case."""

import asyncio
import logging
from datetime import timedelta

from carrel.cluster import Cluster, KindRef
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import Clock
from carrel.ingest.staging import Staging
from carrel.kinds import DatasetIngest
from carrel.ledger import Activity, Event, Ledger, RecordClass
from carrel.rules import is_true

KEPT = timedelta(hours=24)
_log = logging.getLogger(__name__)


async def sweep(staging: Staging, *, cluster: Cluster, clock: Clock, ledger: Ledger) -> int:
    """Delete what is no longer needed and return the number of uploads deleted.

    Where the API server cannot be asked nothing is deleted.
    """
    uids = staging.uids()
    if not uids:
        return 0
    try:
        stored = await cluster.list(KindRef.of(DatasetIngest))
    except ClusterError as error:
        _log.warning("staging is not swept: %s", error)
        return 0
    published = {_uid(each): _is_published(each) for each in stored}
    swept = 0
    for uid in uids:
        reason = _reason(uid, published=published, old=_is_old(staging, uid, clock=clock))
        if not reason:
            continue
        await asyncio.to_thread(staging.area(uid).remove)
        swept += 1
        await ledger.append(
            Event(
                activity=Activity.STAGING_EMPTIED,
                time=clock.now(),
                actor="carrel-ingest",
                detail={"ingestUID": uid, "reason": reason},
            ),
            record_class=RecordClass.AFTER,
        )
    return swept


def _reason(uid: str, *, published: dict[str, bool], old: bool) -> str:
    if uid not in published:
        return "IngestDeleted"
    if published[uid]:
        return "Published"
    return "TooOld" if old else ""


def _is_old(staging: Staging, uid: str, *, clock: Clock) -> bool:
    return clock.now() - staging.area(uid).touched() > KEPT


def _uid(stored: dict[str, object]) -> str:
    metadata = stored.get("metadata")
    return str(metadata.get("uid", "")) if isinstance(metadata, dict) else ""


def _is_published(stored: dict[str, object]) -> bool:
    try:
        ingest = DatasetIngest.model_validate(stored)
    except ValueError:
        return False
    return is_true(ingest.status.conditions, "Published")
