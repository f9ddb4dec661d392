"""What the installer says of pods that are not well, and which values win."""

from typing import Any

import pytest

from carrel.cli.release import Images, _merged, problems


def _pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "carrel-node-x"},
        "status": {"containerStatuses": list(containers), **status},
    }


WELL = {"name": "lock", "ready": True, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("pod", "sentences"),
    [
        (_pod(WELL), ()),
        (_pod({"name": "trust", "ready": False, "state": {"terminated": {"exitCode": 0}}}), ()),
        (
            _pod({"name": "lock", "ready": False, "state": {"running": {}}}),
            ("Pod carrel-node-x, container lock: runs but is not ready.",),
        ),
        (
            _pod(
                {
                    "name": "lock",
                    "ready": False,
                    "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
                }
            ),
            ("Pod carrel-node-x, container lock: ErrImagePull not found",),
        ),
        (
            _pod(
                WELL,
                {
                    "name": "views",
                    "ready": False,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 2, "message": "no store\n"}},
                },
            ),
            ("Pod carrel-node-x, container views: CrashLoopBackOff ended with 2. no store",),
        ),
        (
            _pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "no room"}]),
            ("Pod carrel-node-x has no node: no room",),
        ),
        ({"metadata": {"name": "new"}}, ()),
    ],
)
def test_each_pod_that_is_not_well_gets_a_sentence(pod: dict[str, Any], sentences: tuple[str, ...]):
    """The kubelet's own words, and nothing of pods that are well."""
    assert problems([pod]) == sentences


def test_what_was_said_wins_over_what_was_found():
    """Part by part; a list is taken whole."""
    found = {"network": {"policyEnforcement": "Enforced", "apiServer": {"cidrs": ["a", "b"]}}}
    said = {"network": {"apiServer": {"cidrs": ["c"]}}, "users": {"prefix": "sso:"}}
    assert _merged(found, said) == {
        "network": {"policyEnforcement": "Enforced", "apiServer": {"cidrs": ["c"]}},
        "users": {"prefix": "sso:"},
    }


def test_without_a_workspace_image_no_class_is_offered():
    """The chart takes an empty reference for none."""
    assert Images(platform="p@sha256:1", node="n@sha256:2").values() == {
        "platform": {"ref": "p@sha256:1"},
        "node": {"ref": "n@sha256:2"},
        "workspace": {"ref": ""},
        "identity": {"ref": ""},
    }
