"""Attack: leave the locked network namespace for one in which one is root."""

import pytest

from support.arms import Arm, packets

pytestmark = pytest.mark.cluster

ATTACK = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
made = libc.unshare(0x10000000 | 0x40000000)  # CLONE_NEWUSER | CLONE_NEWNET
try:
    socket.create_connection(("203.0.113.1", 80), 2)
    print("through")
except OSError:
    print("nowhere")
"""
STAY = ATTACK.replace("0x10000000 | 0x40000000", "0")


def test_without_leaving_the_control_gets_through(control: Arm) -> None:
    assert control.python(STAY) == "through"


def test_a_workspace_gets_nowhere_either_way(workspace: Arm) -> None:
    arrived = packets(workspace.instance)
    assert workspace.python(ATTACK) == "nowhere"
    assert packets(workspace.instance) == arrived
