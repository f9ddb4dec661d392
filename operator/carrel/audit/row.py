"""What the index knows of a record: who, under which grant, where to, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from carrel.audit.source import Stored
from carrel.ledger.event import Activity, RecordClass
from carrel.ledger.record_type import OcsfClass, Outcome
from carrel.ledger.text import plain
from carrel.ledger.types import TYPES

_PEOPLE = frozenset(
    {
        Activity.ADMINISTRATOR_ACTED,
        Activity.POD_ENTERED,
        Activity.RECORDS_READ,
        Activity.SEALED_READ,
        Activity.KEY_DELETED,
    }
)
"""Records whose actor is a person."""
_NOTED = frozenset(
    {
        Activity.CHAIN_OPENED,
        Activity.CHAIN_CLOSED,
        Activity.HEARTBEAT,
        Activity.GAP,
        Activity.AUDIT_LOG_FORWARDED,
        Activity.AUDIT_LOG_UNREADABLE,
    }
)
_KNOWN = frozenset(Activity)
_HOST_FIELDS = ("name", "host", "url", "address")
"""Where a record says what was to be reached; sealed ones count before clear ones."""
_LONGEST = 1024
UNKNOWN = "Unknown"
"""Activity of a record that says none."""


class Decision(StrEnum):
    """How what was asked for ended."""

    ALLOWED = "Allowed"
    REFUSED = "Refused"
    ENDED = "Ended"
    """Something was stopped."""
    NOTED = "Noted"
    """Nothing was asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the index."""

    time: int
    """Milliseconds since 1970, by the clock of the process."""
    activity: str
    decision: Decision
    person: str
    """Opaque id; empty where the record names none."""
    grant: str
    workspace: str
    host: str
    """Address, or the blind index of a sealed name."""
    datasets: tuple[str, ...]
    """Datasets that the record itself names."""
    amount: int = 1
    """How many attempts it stands for."""


def row_of(stored: Stored) -> Row:
    """Return the line for a record; what is missing or odd is empty."""
    said = stored.said
    found = said.get("detail")
    detail: Mapping[str, Any] = found if isinstance(found, dict) else {}
    activity = _text(said.get("activity")) or UNKNOWN
    return Row(
        time=_milliseconds(stored.event.get("time"), _text(said.get("time"))),
        activity=activity,
        decision=decision_of(activity, detail),
        person=_person(activity, said, detail),
        grant=_text(said.get("grant")) or _granted(detail),
        workspace=_text(said.get("workspace")),
        host=_host(said, detail),
        datasets=tuple(_text(detail.get("datasets")).split())[:32],
        amount=_amount(detail.get("count")),
    )


def decision_of(activity: str, detail: Mapping[str, Any]) -> Decision:
    """Return how an act ended."""
    kind = TYPES.get(Activity(activity)) if activity in _KNOWN else None
    if kind is None:
        return Decision.NOTED
    code = detail.get("code")
    if isinstance(code, int) and kind.ocsf_class is OcsfClass.API_ACTIVITY:
        return Decision.REFUSED if code >= 400 else Decision.ALLOWED
    if activity in _NOTED:
        return Decision.NOTED
    if kind.outcome is Outcome.FAILURE:
        return Decision.REFUSED
    return Decision.ENDED if kind.record_class is RecordClass.STOP else Decision.ALLOWED


def _person(activity: str, said: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    researcher = _text(detail.get("researcher"))
    return researcher or (_text(said.get("actor")) if activity in _PEOPLE else "")


def _granted(detail: Mapping[str, Any]) -> str:
    """Return the grant that an administrator's act was about."""
    return _text(detail.get("name")) if detail.get("resource") == "accessgrants" else ""


def _host(said: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    found = said.get("sealed")
    sealed: Mapping[str, Any] = found if isinstance(found, dict) else {}
    for field in _HOST_FIELDS:
        box = sealed.get(field)
        if isinstance(box, dict) and (index := _text(box.get("index"))):
            return index
    if detail.get("resource"):
        return ""  # the name is that of an object
    return next((text for field in _HOST_FIELDS if (text := _text(detail.get(field)))), "")


def _amount(value: object) -> int:
    # A count that no recorder could have seen would drown all others.
    return value if isinstance(value, int) and 0 < value < 2**40 else 1


def _text(value: object) -> str:
    return plain(value, at_most=_LONGEST) if isinstance(value, str) else ""


def _milliseconds(value: object, text: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
