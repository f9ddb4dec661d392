"""A grant's life reads as a story."""

from pathlib import Path

import pytest

from carrel.audit.index import Index
from carrel.audit.query import Order, Query
from carrel.audit.source import source_of
from carrel.audit.story import told
from carrel.ledger import Activity, Event
from carrel.ledger.types import TYPES
from support.audit_log import event, write_chain


def story(events: list[Event], folder: Path) -> list[tuple[str, int]]:
    write_chain(folder / "chains" / "operator", events)
    with Index(folder / "index.sqlite", source_of(folder / "chains")) as index:
        index.follow()
        hits = index.every(Query(order=Order.OLDEST))
        return [(each.sentence, each.records) for each in told(hits)]


def test_a_grant_is_told_from_beginning_to_end(tmp_path: Path) -> None:
    happened = [
        event(
            Activity.ADMINISTRATOR_ACTED,
            actor="oidc:mira",
            verb="create",
            resource="accessgrants",
            name="lung-2026",
            code=201,
        ),
        event(
            Activity.GRANT_ADMITTED,
            minute=1,
            researcher="jane-7f",
            datasets="lung@1.0",
            scopeExpires="2026-06-30T00:00:00Z",
        ),
        event(Activity.WORKSPACE_STARTED, minute=2, viewDigest="sha256:00"),
        event(Activity.HEARTBEAT, minute=3),
        event(Activity.TRAFFIC_DENIED, minute=4, address="192.0.2.1", port=443),
        event(Activity.TRAFFIC_DENIED, minute=5, address="192.0.2.1", port=443),
        event(
            Activity.POD_ENTERED,
            minute=6,
            actor="oidc:mira",
            resource="pods/exec",
            namespace="lung-2026-a1",
            name="workspace",
            code=403,
        ),
        event(Activity.WORKSPACE_CLOSED, minute=7, reason="Revoked"),
        event(Activity.POD_DELETED, minute=8, actor="carrel-revoker"),
        event(Activity.CGROUP_EMPTIED, minute=9),
    ]
    assert story(happened, tmp_path) == [
        ("oidc:mira asked to create accessgrants lung-2026: done (201).", 1),
        ("The grant took effect for jane-7f: lung@1.0, until 2026-06-30T00:00:00Z.", 1),
        ("The workspace lung-2026-a1 was started.", 1),
        (
            "A workspace tried to reach something and was refused (address 192.0.2.1, port 443).",
            2,
        ),
        (
            "oidc:mira asked for pods/exec of lung-2026-a1/workspace: refused (403).",
            1,
        ),
        ("The workspace lung-2026-a1 was closed: Revoked.", 1),
        ("carrel-revoker deleted the pod of lung-2026-a1.", 1),
        ("Nothing of lung-2026-a1 runs on (node not said) any more.", 1),
    ]


@pytest.mark.parametrize("activity", TYPES)
def test_every_kind_of_record_can_be_told(activity: Activity, tmp_path: Path) -> None:
    happened = event(activity, minute=1, reason="{actor} {0} %s", name="x{")
    for sentence, _ in story([happened], tmp_path):
        assert sentence.endswith(".")


def test_a_hostile_name_in_a_record_moves_no_cursor(tmp_path: Path) -> None:
    hostile = event(Activity.WORKSPACE_CLOSED, reason="\x1b[2J\nrevoked\u202e")
    assert story([hostile], tmp_path) == [
        ("The workspace lung-2026-a1 was closed: \\x1b[2J\\nrevoked\\u202e.", 1)
    ]
