"""One API server, one identity provider and one Hub for all tests; each has desks of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from carrel.cluster import Cluster, connect
from carrel.render.realm import Client, RealmAddresses, RealmPerson, realm
from support.control_plane import ControlPlane, control_plane, ready
from support.hub_world import Hub, give_rights, hub_of, kubeconfig_of_hub, running
from support.keycloak import Keycloak, free_port, keycloak

PASSWORD = "correct-horse-battery"  # noqa: S105 - lives for a test
HUB_PORT = free_port()
# Two of them differ in nothing but the size of a letter: they are two people.
PEOPLE = ("demo-researcher", "Demo-Researcher", "demo-leaver")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """Return a real API server without nodes."""
    with control_plane() as started:
        yield started


@pytest.fixture(scope="session")
def provider() -> Iterator[Keycloak]:
    """Return the identity provider with the realm that the chart describes."""
    described = realm(
        RealmAddresses(
            portal="https://carrel.localhost",
            hub=f"https://hub.carrel.localhost:{HUB_PORT}",
            gateway="https://localhost:1",
        ),
        secrets={each: f"secret-of-{each.value}" for each in Client},
        people=[
            RealmPerson(username=f"person-{place}", subject=each, password=PASSWORD)
            for place, each in enumerate(PEOPLE)
        ],
    )
    with keycloak() as pod:
        pod.settle(described)
        pod.start()
        yield pod


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub(
    plane: ControlPlane, provider: Keycloak, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hub]:
    """Return a Hub with the rights of its role and no more."""
    folder: Path = tmp_path_factory.mktemp("hub")
    async with ready(plane.kubeconfig) as cluster:
        await give_rights(cluster)
        config = folder / "hub.conf"
        await kubeconfig_of_hub(cluster, admin=plane.kubeconfig, target=config)
    with running(hub_of(folder, kubeconfig=config, provider=provider, port=HUB_PORT)) as started:
        yield started


@pytest_asyncio.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """Return a connection that may do everything."""
    async with connect(plane.kubeconfig) as connected:
        yield connected


@pytest_asyncio.fixture
async def as_hub(hub: Hub) -> AsyncIterator[Cluster]:
    """Return a connection that speaks as the Hub."""
    async with connect(Path(hub.environment["CARREL_KUBECONFIG"])) as connected:
        yield connected
