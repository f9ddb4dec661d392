"""What stands in a record."""

import re
from datetime import UTC, datetime

import pytest

from carrel.ledger import Activity, Event, plain
from carrel.ledger.record import BEGINNING, chained
from carrel.ledger.types import TYPES

NOW = datetime(2026, 3, 1, 9, 30, 0, 125000, tzinfo=UTC)

# Required attributes of the classes, beyond those of every event (OCSF 1.8, schema.ocsf.io).
REQUIRED = {
    3005: {"user"},
    4001: {"src_endpoint"},
    4002: {"src_endpoint", "http_request"},
    4003: {"src_endpoint"},
    6002: {"app"},
    6003: {"actor", "api", "src_endpoint"},
    6005: {"actor", "src_endpoint", "databucket"},
}
EVERY = {
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
}


def test_every_activity_has_a_type() -> None:
    assert set(TYPES) == set(Activity)


@pytest.mark.parametrize("activity", Activity)
def test_every_record_has_what_its_class_demands(activity: Activity) -> None:
    event = chained(Event(activity=activity, time=NOW, actor="carrel"), after=BEGINNING).event
    assert {*EVERY, *REQUIRED[event["class_uid"]]} <= set(event)
    assert event["category_uid"] == event["class_uid"] // 1000
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def test_a_record_reads_like_this() -> None:
    event = Event(
        activity=Activity.TRAFFIC_DENIED,
        time=NOW,
        actor="node-recorder",
        grant="lung-2026",
        pod_uid="aaaa",
        detail={"address": "198.51.100.7", "port": 443, "count": 3},
    )
    record = chained(event, after=BEGINNING)
    uid = record.event["metadata"]["uid"]
    assert record.event == {
        "activity_id": 5,
        "category_uid": 4,
        "class_uid": 4001,
        "type_uid": 400105,
        "severity_id": 3,
        "status_id": 2,
        "action_id": 2,
        "disposition_id": 2,
        "time": 1772357400125,
        "message": "A workspace tried to reach something and was refused.",
        "metadata": {
            "version": "1.8.0",
            "product": {"name": "Carrel", "vendor_name": "Carrel"},
            "uid": uid,
            "sequence": 1,
            "event_code": "TrafficDenied",
        },
        "actor": {"user": {"uid": "node-recorder"}},
        "src_endpoint": {"uid": "aaaa"},
        "dst_endpoint": {"ip": "198.51.100.7", "port": 443},
        "carrel": event.to_wire(),
    }
    assert record.said == event.to_wire()


def test_a_uid_is_a_uuid_of_version_7_and_says_when() -> None:
    event = Event(activity=Activity.HEARTBEAT, time=NOW, actor="carrel")
    first = chained(event, after=BEGINNING)
    second = chained(event, after=first.receipt)
    uids = [each.event["metadata"]["uid"] for each in (first, second)]
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(uid) for uid in uids)
    assert len(set(uids)) == 2
    assert int(uids[0].replace("-", "")[:12], 16) == 1772357400125
    assert chained(event, after=BEGINNING).event["metadata"]["uid"] == uids[0]


@pytest.mark.parametrize(
    ("foreign", "text"),
    [
        (b"scan.example", "scan.example"),
        (b"\xff\xfe.example", "\\xff\\xfe.example"),
        ("\ud800.example", "\\xed\\xa0\\x80.example"),
        ("é" * 2000, "é" * 1023 + "…"),
        (b"\xff" * 2000, "\\xff" * 255 + "\\xf" + "…"),
        ("\U0001f600" * 1024, "\U0001f600" * 1024),
        (b"", ""),
    ],
)
def test_foreign_bytes_fit_into_a_record(foreign: bytes | str, text: str) -> None:
    assert plain(foreign) == text
    event = Event(
        activity=Activity.TRAFFIC_DENIED, time=NOW, actor="node", detail={"name": plain(foreign)}
    )
    assert chained(event, after=BEGINNING).said["detail"] == {"name": text}
