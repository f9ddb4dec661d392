"""Records told as sentences."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from carrel.audit.query import Hit
from carrel.audit.row import Decision
from carrel.audit.shown import inert
from carrel.ledger.event import Activity
from carrel.ledger.types import TYPES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUIET = frozenset(
    {
        Activity.HEARTBEAT,
        Activity.CHAIN_OPENED,
        Activity.CHAIN_CLOSED,
        Activity.AUDIT_LOG_FORWARDED,
    }
)
_LONGEST = 120

_SENTENCES: Mapping[Activity, str] = {
    Activity.GRANT_ADMITTED: "The grant took effect for {researcher}: {datasets}, until "
    "{scopeExpires}.",
    Activity.WORKSPACE_STARTED: "The workspace {workspace} was started.",
    Activity.WORKSPACE_CLOSED: "The workspace {workspace} was closed: {reason}.",
    Activity.POD_DELETED: "{actor} deleted the pod of {workspace}.",
    Activity.VOLUME_RELEASED: "The {volume} of {workspace} was taken away.",
    Activity.VIEW_BUILT: "{node} laid out {files} files of the granted data for {workspace}.",
    Activity.VIEW_REMOVED: "{node} removed the view of the data from {workspace}.",
    Activity.LOCK_LOADED: "{node} locked the network of {workspace}.",
    Activity.LOCK_CLOSED: "{node} closed the lock of {workspace} for good: {reason}.",
    Activity.LOCK_TAMPERED: "The lock of {workspace} on {node} was ALTERED and loaded again.",
    Activity.GATE_PROVEN: "The lock of {workspace} was proven before any of its user's code ran.",
    Activity.GATE_REFUSED: "The lock of {workspace} was not proven, so nothing started.",
    Activity.CGROUP_EMPTIED: "Nothing of {workspace} runs on {node} any more.",
    Activity.DATASET_PUBLISHED: "A version of {family} with {instances} instances was published.",
    Activity.FILE_REFUSED: "{files} files were refused at the gate: {rule}.",
    Activity.LOGIN_ADMITTED: "{actor} logged in.",
    Activity.LOGIN_ENDED: "The login of {actor} ended: {reason}.",
    Activity.DOOR_OPENED: "{actor} opened the workspace {workspace}.",
    Activity.DOOR_CUT: "Everything that {actor} had open of {workspace} was cut: {reason}; decided "
    "{decided}, last byte {lastByte}, {sockets} sockets.",
    Activity.DOOR_BUDGET_SPENT: "{actor} used up the bytes of {day} of {workspace}: {spent}.",
    Activity.ADMINISTRATOR_ACTED: "{actor} asked to {verb} {resource} {name}: {answer}.",
    Activity.POD_ENTERED: "{actor} asked for {resource} of {namespace}/{name}: {answer}.",
    Activity.SEALED_READ: "{actor} read sealed fields of {project} in clear, because: {why}.",
    Activity.KEY_DELETED: "{actor} deleted the key of {project}, because: {why}.",
    Activity.GAP: "{actor} admits a gap in its records: {reason}.",
}


@dataclass(frozen=True)
class Moment:
    """One sentence of a story."""

    time: datetime
    sentence: str
    """Made inert: it can be printed."""
    decision: Decision
    where: str
    """Where the record stands, for who wants to see it."""
    records: int = 1
    """How many records in a row say the same."""


def told(hits: Iterable[Hit]) -> Iterator[Moment]:
    """Yield a sentence for each record; the same sentence in a row is told once, with a count."""
    last: Moment | None = None
    for hit in hits:
        if hit.stored.said.get("activity") in _QUIET:
            continue
        moment = Moment(moment_of(hit), sentence(hit), hit.decision, place_of(hit))
        if last and (last.sentence, last.decision) == (moment.sentence, moment.decision):
            last = Moment(last.time, last.sentence, last.decision, last.where, last.records + 1)
            continue
        if last:
            yield last
        last = moment
    if last:
        yield last


def sentence(hit: Hit) -> str:
    """Return what a record says, in a sentence that can be printed."""
    said = hit.stored.said
    activity = str(said.get("activity"))
    found = said.get("detail")
    detail: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if activity not in {*Activity}:
        return f"A record of an unknown kind: {_short(activity)}."
    words = _Words(said, detail)
    template = _SENTENCES.get(Activity(activity))
    if template is not None:
        return template.format_map(words)
    rest = ", ".join(
        f"{_short(key)} {_short(value)}" for key, value in detail.items() if key != "reason"
    )
    about = f" ({rest})" if rest else ""
    return f"{TYPES[Activity(activity)].sentence.removesuffix('.')}{about}."


def moment_of(hit: Hit) -> datetime:
    """Return when it happened; 1970 where a record does not say."""
    time = hit.stored.event.get("time")
    if not isinstance(time, int) or not 0 <= time < 2**47:
        return _EPOCH
    return _EPOCH + timedelta(milliseconds=time)


def place_of(hit: Hit) -> str:
    """Return where a record stands: its leaf in the log, or its number in a chain."""
    place = hit.stored.place
    if place.leaf is not None:
        return f"leaf {place.leaf}"
    return inert(f"{hit.stored.writer} {hit.stored.sequence}")


class _Words(dict[str, str]):
    """Every word that a sentence may need; a missing one is said to be missing."""

    def __init__(self, said: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
        super().__init__({key: _short(value) for key, value in detail.items()})
        for key in ("actor", "grant", "workspace", "node"):
            if said.get(key):
                self[key] = _short(said[key])
        code = detail.get("code")
        self["answer"] = (
            ("refused" if code >= 400 else "done") + f" ({code})"
            if isinstance(code, int)
            else "no answer"
        )

    def __missing__(self, key: str) -> str:
        return f"({key} not said)"


def _short(value: object) -> str:
    text = inert(str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
