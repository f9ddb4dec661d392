"""One API server for all tests of the operator; each test uses names of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from carrel.cluster import Cluster, connect
from carrel.cluster.errors import Conflict
from support import examples
from support.control_plane import ControlPlane, control_plane


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """Return a real API server with controllers and without nodes."""
    with control_plane() as started:
        yield started


@pytest_asyncio.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """Return a connection to it, with a dataset, the menus and a ready node in place."""
    async with connect(plane.kubeconfig) as connected:
        for obj in (
            examples.public_key(),
            examples.dataset(),
            examples.workspace_class(),
            examples.egress_policy(),
            examples.ready_node(),
        ):
            try:
                await connected.create(obj)
            except Conflict:
                continue  # an earlier test made it
        yield connected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for ledgers and logs."""
    return tmp_path
