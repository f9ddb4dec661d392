"""Attack: somebody with root on the node flushes every rule of a workspace."""

from collections.abc import Iterator

import pytest

from carrel.embedded import kubectl
from support.arms import Arm, as_node_root, packets, ready, stands_still, until

pytestmark = pytest.mark.cluster

CONNECT = """
import socket
try:
    socket.create_connection(("203.0.113.1", 80), 2)
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_a_removed_rule_set_stays_removed_where_no_agent_watches(control: Arm) -> None:
    as_node_root(control, "nft", "add", "table", "inet", "watched")
    as_node_root(control, "nft", "flush", "ruleset")
    assert as_node_root(control, "nft", "list", "tables") == ""


@pytest.fixture
def doomed(workspace: Arm) -> Iterator[Arm]:
    """Return a workspace that may come to harm; it gets a new pod afterwards."""
    yield workspace
    kubectl(
        workspace.instance,
        *("delete", "pod", "-n", workspace.namespace, workspace.pod, "--timeout=120s"),
    )
    until(lambda: ready(workspace.namespace, but=workspace.uid), seconds=180)


def test_the_lock_is_back_within_seconds_and_nothing_got_out(doomed: Arm) -> None:
    arrived = packets(doomed.instance)
    as_node_root(doomed, "nft", "flush", "ruleset")
    until(lambda: "carrel_lock" in as_node_root(doomed, "nft", "list", "tables"), seconds=10)
    assert as_node_root(doomed, "python3", "-c", CONNECT).strip() == "ConnectionRefusedError"
    assert packets(doomed.instance) == arrived
    # Who changed the rules may have more in mind: its programs stand still.
    until(lambda: stands_still(doomed), seconds=10)
