"""The form of an event in a record: OCSF 1.8 with everything of ours in one object `carrel`."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from carrel.ledger.event import Activity, Event
from carrel.ledger.record_type import OcsfClass, Outcome, RecordType
from carrel.ledger.types import TYPES

OCSF_VERSION = "1.8.0"
_BUCKET_OTHER = 99
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_API_ACTIVITY = {
    "create": 1,
    "get": 2,
    "list": 2,
    "watch": 2,
    "update": 3,
    "patch": 3,
    "delete": 4,
    "deletecollection": 4,
}


def ocsf_event(event: Event, *, body: dict[str, Any], sequence: int, uid: str) -> dict[str, Any]:
    """Return the JSON of one record.

    Args:
        event: What happened.
        body: `event.to_wire()`, which becomes the object `carrel`.
        sequence: Number of the record in its process's chain.
        uid: UUIDv7 of the record.

    """
    kind = TYPES[event.activity]
    activity = _activity(event, kind)
    return {
        "activity_id": activity,
        "category_uid": kind.ocsf_class.category,
        "class_uid": kind.ocsf_class.value,
        "type_uid": kind.ocsf_class * 100 + activity,
        "severity_id": kind.severity.value,
        "status_id": kind.outcome.value,
        "time": _milliseconds(event.time),
        "message": kind.sentence,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "Carrel", "vendor_name": "Carrel"},
            "uid": uid,
            "sequence": sequence,
            "event_code": event.activity.value,
        },
        "actor": {"user": {"uid": event.actor}},
        **_required(event, kind),
        "carrel": body,
    }


def record_uid(event: bytes, *, time: datetime, previous: str) -> str:
    """Return the UUIDv7 (RFC 9562) of a record.

    Its 74 bits after the time come from SHA-256 over the record before and this one, so that the
    same record always has the same UID; the first record of a chain holds a random number.
    """
    digest = hashlib.sha256(previous.encode() + event).digest()
    value = (max(_milliseconds(time), 0) & (2**48 - 1)) << 80
    value |= 7 << 76 | (int.from_bytes(digest[:2], "big") & 0xFFF) << 64
    value |= 2 << 62 | int.from_bytes(digest[2:10], "big") & (2**62 - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _milliseconds(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(milliseconds=1)


def _activity(event: Event, kind: RecordType) -> int:
    if event.activity in {Activity.ADMINISTRATOR_ACTED, Activity.POD_ENTERED}:
        return _API_ACTIVITY.get(str(event.detail.get("verb", "")), kind.ocsf_activity)
    return kind.ocsf_activity


def _required(event: Event, kind: RecordType) -> dict[str, Any]:
    """Return the attributes that the class demands beyond those of every event."""
    place = event.pod_uid or event.node or event.actor
    found: dict[str, Any]
    match kind.ocsf_class:
        case OcsfClass.APPLICATION_LIFECYCLE:
            found = {"app": {"name": event.workspace or event.actor}}
        case OcsfClass.API_ACTIVITY:
            operation = str(event.detail.get("verb", "") or event.activity.value)
            found = {"api": {"operation": operation}, "src_endpoint": {"uid": place}}
        case OcsfClass.DATASTORE_ACTIVITY:
            name = event.workspace or str(event.detail.get("ingest", "")) or "staging"
            bucket = {"name": name, "type_id": _BUCKET_OTHER}
            found = {"databucket": bucket, "src_endpoint": {"uid": place}}
        case OcsfClass.USER_ACCESS_MANAGEMENT:
            user = event.detail.get("researcher") or event.workspace or event.actor
            found = {"user": {"uid": str(user)}}
        case OcsfClass.NETWORK_ACTIVITY:
            found = {**_reached(event, kind), **_destination(event)}
        case OcsfClass.DNS_ACTIVITY:
            found = _reached(event, kind)
        case OcsfClass.HTTP_ACTIVITY:
            method = str(event.detail.get("method", "GET"))
            found = {**_reached(event, kind), "http_request": {"http_method": method}}
    return found


def _reached(event: Event, kind: RecordType) -> dict[str, Any]:
    source = {"src_endpoint": {"uid": event.pod_uid or event.actor}}
    if kind.outcome is Outcome.SUCCESS:
        return source
    # Profile security_control: denied, and blocked.
    return {**source, "action_id": 2, "disposition_id": 2}


def _destination(event: Event) -> dict[str, Any]:
    address, port = event.detail.get("address"), event.detail.get("port")
    found: dict[str, Any] = {"ip": address} if isinstance(address, str) and address else {}
    if isinstance(port, int) and 0 < port < 2**16:
        found["port"] = port
    return {"dst_endpoint": found} if "ip" in found else {}
