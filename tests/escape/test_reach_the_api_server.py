"""Attack: talk to the API server at its service address."""

import pytest

from support.arms import Arm, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket
try:
    socket.create_connection(("10.96.0.1", 443), 3)
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    assert control.python(ATTACK) == "through"


def test_a_workspace_is_refused(workspace: Arm) -> None:
    counted = refused(workspace)
    assert workspace.python(ATTACK) == "ConnectionRefusedError"
    assert refused(workspace) > counted
