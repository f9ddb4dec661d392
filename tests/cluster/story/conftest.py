"""The embedded cluster as `carrel demo` left it, spoken to as each person."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carrel.cluster import Cluster, connect
from carrel.embedded import Instance, Person, find_instance


@pytest.fixture(scope="session")
def instance() -> Instance:
    """Return the running instance; its absence is a failure, not a reason to skip."""
    return find_instance(os.environ.get("CARREL_INSTANCE", "carrel"))


@pytest_asyncio.fixture
async def admin(instance: Instance) -> AsyncIterator[Cluster]:
    """Connect as the administrator of the machine."""
    async with connect(instance.kubeconfig(Person.ADMIN)) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def grant_admin(instance: Instance) -> AsyncIterator[Cluster]:
    """Connect as the demo's grant administrator."""
    async with connect(instance.kubeconfig(Person.GRANT_ADMIN)) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def approver(instance: Instance) -> AsyncIterator[Cluster]:
    """Connect as the demo's approver."""
    async with connect(instance.kubeconfig(Person.APPROVER)) as cluster:
        yield cluster
