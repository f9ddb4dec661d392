"""Attack: send from the port whose answers may pass, as if a gateway had asked."""

import pytest

from support.arms import Arm, packets, refused

pytestmark = pytest.mark.cluster

ATTACK = """
import socket
channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
channel.settimeout(3)
channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
# One of its own addresses, so that the listener on all of them is not in the way.
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect(("203.0.113.1", 9))
own = probe.getsockname()[0]
for port in (8888, 8889):
    try:
        channel.bind((own, port))
        break
    except OSError:
        continue
try:
    channel.connect(("203.0.113.1", 80))
    print("through")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    assert control.python(ATTACK) == "through"


def test_a_workspace_is_refused(workspace: Arm) -> None:
    arrived, counted = packets(workspace.instance), refused(workspace)
    assert workspace.python(ATTACK) == "ConnectionRefusedError"
    assert refused(workspace) > counted
    assert packets(workspace.instance) == arrived
