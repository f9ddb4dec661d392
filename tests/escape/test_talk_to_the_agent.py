"""Attack: speak to the privileged agent over the socket by which the gate did."""

import pytest

from support.arms import Arm

pytestmark = pytest.mark.cluster

ATTACK = """
import errno, socket
channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    channel.connect(b"\\0carrel-lock")
    print("connected")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
LISTEN_TOO = """
import socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(b"\\0carrel-lock"); listener.listen()
"""


def test_somebody_who_listens_there_is_reached(control: Arm) -> None:
    assert control.python(LISTEN_TOO + ATTACK) == "connected"


def test_nobody_listens_once_user_code_runs(workspace: Arm) -> None:
    assert workspace.python(ATTACK) == "ECONNREFUSED"
