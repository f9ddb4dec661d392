"""Whom the revoker condemns: a table of grants and pods."""

from datetime import UTC, datetime, timedelta

import pytest

from carrel.cluster import JSON
from carrel.revoker.register import Reason, Register
from support import examples

NOW = examples.NOW


def stored(obj: JSON, version: str = "5", **metadata: object) -> JSON:
    """Return a grant as the server holds it."""
    return examples.stored(obj, resourceVersion=version, **metadata)


def pod(grant_uid: str = "uid-lung-nodules", **metadata: object) -> JSON:
    """Return a pod that was made for a grant."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "desk",
            "namespace": "ws-lung",
            "uid": "pod-1",
            "resourceVersion": "6",
            "labels": {"carrel.dev/grant-uid": grant_uid, "carrel.dev/workspace": "ws-lung"},
            **metadata,
        },
    }


GRANTS: dict[str, tuple[JSON | None, Reason | None]] = {
    "in force": (stored(examples.grant()), None),
    "suspended": (stored(examples.grant(state="Suspended")), Reason.SUSPENDED),
    "revoked": (stored(examples.grant(state="Revoked")), Reason.REVOKED),
    "expired to the second": (
        stored(examples.grant(expires="2026-03-02T09:00:00Z")),
        Reason.EXPIRED,
    ),
    "one second left": (stored(examples.grant(expires="2026-03-02T09:00:01Z")), None),
    "not yet valid": (
        stored(examples.grant(notBefore="2026-03-02T09:00:01Z")),
        Reason.NOT_YET_VALID,
    ),
    "being deleted": (
        stored(examples.grant(), deletionTimestamp="2026-03-02T08:59:59Z"),
        Reason.DELETED,
    ),
    "unreadable": (stored(examples.grant(state="Perhaps")), Reason.MALFORMED),
    "missing": (None, Reason.MISSING),
}


@pytest.mark.parametrize("case", GRANTS)
def test_a_pod_may_run_only_under_a_grant_in_force(case: str):
    """Whatever is not plainly in force is an end."""
    grant, reason = GRANTS[case]
    register = Register()
    if grant is not None:
        register.put_grant(grant)
    register.put_pod(pod())
    assert [each.reason for each in register.condemned(now=NOW)] == ([reason] if reason else [])


def test_a_pod_that_says_no_grant_is_condemned():
    """The label names nobody: nobody allows it."""
    register = Register()
    register.put_pod(pod(grant_uid=""))
    assert [each.reason for each in register.condemned(now=NOW)] == [Reason.MISSING]


def test_a_pod_that_was_given_long_to_end_is_given_less():
    """Somebody's deletion with a grace of an hour is no stop."""
    register = Register()
    register.put_pod(pod(deletionTimestamp="2026-03-02T10:00:00Z"))
    assert len(list(register.condemned(now=NOW))) == 1
    register.put_pod(pod(deletionTimestamp="2026-03-02T09:00:01Z"))
    assert list(register.condemned(now=NOW)) == []


def test_a_deletion_is_asked_for_once_and_again_when_nothing_came_of_it():
    """The watch tells of it within a moment; if it does not, the deletion was lost."""
    register = Register()
    register.put_pod(pod())
    register.asked("pod-1", now=NOW)
    assert list(register.condemned(now=NOW + timedelta(seconds=2))) == []
    assert len(list(register.condemned(now=NOW + timedelta(seconds=4)))) == 1


def test_an_older_version_does_not_undo_a_newer_one():
    """A list that was on its way when the watch told of the suspension."""
    register = Register()
    register.put_grant(stored(examples.grant(state="Suspended"), version="9"))
    before = register.versions()
    register.merge(grants=[stored(examples.grant(), version="8")], pods=[pod()], before=before)
    assert [each.reason for each in register.condemned(now=NOW)] == [Reason.SUSPENDED]


def test_a_list_forgets_only_what_was_known_before_it_began():
    """A grant that was told while the list was on its way is not missing."""
    register = Register()
    register.put_grant(stored(examples.grant("old")))
    before = register.versions()
    register.put_grant(stored(examples.grant()))
    register.put_pod(pod())
    register.merge(grants=[], pods=[], before=before)
    assert list(register.condemned(now=NOW)) == []
    assert register.grant_name("uid-old") is None


def test_the_next_end_is_the_earliest_to_come():
    """What has ended already is no reason to wait."""
    register = Register()
    for name, expires in (("a", "01"), ("b", "08"), ("c", "05")):
        register.put_grant(stored(examples.grant(name, expires=f"2026-03-{expires}T00:00:00Z")))
    assert register.next_end(now=NOW) == datetime(2026, 3, 5, tzinfo=UTC)
