"""Sealed fields in clear: first the record of who reads and why, then the text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from carrel.audit.query import Hit
from carrel.ledger.event import Activity, Event, Ledger, RecordClass, Sealed
from carrel.ledger.sealing import Keyring, SealedError

SHORTEST_REASON = 10


@dataclass(frozen=True)
class Revealed:
    """A sealed field and its text."""

    hit: Hit
    field: str
    text: str
    """As it was sealed: foreign, and not yet made inert."""


async def revealed(
    hits: Iterable[Hit], *, keys: Keyring, ledger: Ledger, reader: str, why: str, now: datetime
) -> tuple[Revealed, ...]:
    """Open every sealed field of `hits`, after a record that says so is durable.

    Raises:
        SealedError: when the reason says nothing, or a key is not here; nothing was opened.
        LedgerUnavailableError: when the record is not durable; nothing was opened.

    """
    if len(why.strip()) < SHORTEST_REASON:
        raise SealedError(
            f"reason_is_missing: a reason has at least {SHORTEST_REASON} characters; it is kept "
            "with your name in the records."
        )
    found = [(hit, field, sealed) for hit in hits for field, sealed in _sealed(hit).items()]
    projects = sorted({sealed.project for _, _, sealed in found})
    ring = {project: keys.key(project) for project in projects}
    for project in projects:
        count = sum(sealed.project == project for _, _, sealed in found)
        event = Event(
            activity=Activity.SEALED_READ,
            time=now,
            actor=reader,
            detail={"why": why.strip()[:1024], "project": project, "records": count},
        )
        await ledger.append(event, record_class=RecordClass.BEFORE)
    return tuple(
        Revealed(hit, field, ring[sealed.project].open(sealed, field=field))
        for hit, field, sealed in found
    )


def _sealed(hit: Hit) -> Mapping[str, Sealed]:
    found = hit.stored.said.get("sealed")
    if not isinstance(found, dict):
        return {}
    try:
        return {str(field): Sealed.model_validate(value) for field, value in found.items()}
    except ValidationError:
        return {}  # no process of the platform wrote this
