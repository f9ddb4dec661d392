"""Attack: talk to the node's kubelet, which NetworkPolicy never forbids."""

import pytest

from support.arms import Arm, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 10250), 3)
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    assert control.python(ATTACK, control.node_address) == "through"


def test_a_workspace_is_refused(workspace: Arm) -> None:
    counted = refused(workspace)
    assert workspace.python(ATTACK, workspace.node_address) == "ConnectionRefusedError"
    assert refused(workspace) > counted
