"""The canary of NetworkPolicy at a door that is open, and at one that is shut."""

import socket
from collections.abc import Iterator

import pytest

from carrel.node import policy_canary
from carrel.node.policy_canary import GOT_THROUGH, MISUSED, PROMISED, SHUT, main

pytestmark = pytest.mark.loopback


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def shut() -> str:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def test_a_denied_canary_that_gets_through_says_so(door: socket.socket) -> None:
    assert main(["denied", "127.0.0.1", str(door.getsockname()[1])]) == GOT_THROUGH


def test_a_denied_canary_that_is_stopped_met_what_was_promised(shut: str) -> None:
    assert main(["denied", "127.0.0.1", shut]) == PROMISED


def test_a_control_that_gets_through_met_what_was_promised(door: socket.socket) -> None:
    assert main(["control", "127.0.0.1", str(door.getsockname()[1])]) == PROMISED


def test_a_control_before_a_shut_door_proves_nothing(
    shut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_canary, "PATIENCE_SECONDS", 0.1)
    assert main(["control", "127.0.0.1", shut]) == SHUT


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["denied"],
        ["open", "127.0.0.1", "80"],
        # What the kubelet leaves where it has not heard of the Service yet.
        ["denied", "$(CARREL_INGEST_SERVICE_HOST)", "8443"],
        ["denied", "127.0.0.1", "$(PORT)"],
    ],
)
def test_what_is_asked_otherwise_is_no_proof(arguments: list[str]) -> None:
    assert main(arguments) == MISUSED
