"""Attack: open a TCP connection to the Internet."""

import pytest

from support.arms import Arm, packets, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket
try:
    socket.create_connection(("203.0.113.1", 80), 3)
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    before = packets(control.instance)
    assert control.python(ATTACK) == "through"
    assert packets(control.instance) > before


def test_a_workspace_is_refused_at_once_and_counted(workspace: Arm) -> None:
    arrived, counted = packets(workspace.instance), refused(workspace)
    assert workspace.python(ATTACK) == "ConnectionRefusedError"
    assert refused(workspace) > counted
    assert packets(workspace.instance) == arrived
