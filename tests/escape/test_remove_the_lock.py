"""Attack: somebody with root on the node flushes every rule of a workspace."""

import pytest

from support.arms import Arm, as_node_root, packets, until

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


def test_the_lock_is_back_within_seconds_and_nothing_got_out(workspace: Arm) -> None:
    arrived = packets(workspace.instance)
    as_node_root(workspace, "nft", "flush", "ruleset")
    until(lambda: "carrel_lock" in as_node_root(workspace, "nft", "list", "tables"), seconds=10)
    assert workspace.python(CONNECT) == "ConnectionRefusedError"
    assert packets(workspace.instance) == arrived
