"""Attack: hand data to another pod of the cluster, or have it fetched by one."""

import pytest

from support.arms import Arm, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_a_pod_that_nobody_locks_is_reached(control: Arm) -> None:
    assert control.python(ATTACK, control.address, "9999") == "through"


def test_a_workspace_does_not_reach_it(workspace: Arm, control: Arm) -> None:
    counted = refused(workspace)
    assert workspace.python(ATTACK, control.address, "9999") == "ConnectionRefusedError"
    assert refused(workspace) > counted


def test_nobody_but_a_gateway_reaches_a_workspace(workspace: Arm, control: Arm) -> None:
    own = "import socket; socket.create_connection(('127.0.0.1', 8888), 3); print('through')"
    assert workspace.python(own) == "through"
    assert control.python(ATTACK, workspace.address, "8888") == "TimeoutError"
