"""What holds for every test: no unit test opens a socket, and what a test may need is named.

Cluster tests find the instance by the environment variable CARREL_INSTANCE
(default `carrel`); they are skipped nowhere: without the instance they fail.
"""

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Block sockets where nothing but memory is needed; Unix sockets stay for event loops."""
    from pytest_socket import disable_socket, enable_socket  # noqa: PLC0415 - only test runs have it

    if {"unit", "property", "golden"} & set(item.path.parts) and not item.get_closest_marker(
        "loopback"
    ):
        disable_socket(allow_unix_socket=True)
    else:
        enable_socket()
