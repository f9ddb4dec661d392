"""Attack: send data out in one UDP datagram, which needs no answer."""

import pytest

from support.arms import Arm, packets, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    channel.sendto(b"secret", ("8.8.8.8", 53))
    print("sent")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    before = packets(control.instance)
    assert control.python(ATTACK) == "sent"
    assert packets(control.instance) > before


def test_a_workspace_cannot_even_send(workspace: Arm) -> None:
    arrived, counted = packets(workspace.instance), refused(workspace)
    assert workspace.python(ATTACK) == "PermissionError"
    assert refused(workspace) > counted
    assert packets(workspace.instance) == arrived
