"""On a cluster that is already there, the demo's people get certificates of that cluster."""

from pathlib import Path

import pytest

from carrel.cluster import Cluster, connect
from carrel.embedded import Instance, Person
from carrel.flows.demo_people import issue_kubeconfig

pytestmark = pytest.mark.cluster


async def test_a_person_is_known_by_the_name_on_the_certificate(
    admin: Cluster, instance: Instance, tmp_path: Path
):
    """The cluster's own signer makes it; the key is private to the file's owner."""
    target = tmp_path / "person.conf"
    await issue_kubeconfig(
        admin,
        username="oidc:demo-somebody",
        template=instance.kubeconfig(Person.ADMIN).read_text(),
        target=target,
    )
    assert target.stat().st_mode & 0o777 == 0o600
    async with connect(target) as cluster:
        assert await cluster.whoami() == "oidc:demo-somebody"
