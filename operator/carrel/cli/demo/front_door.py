"""The demo's front door: where browsers go, and with which passwords."""

import base64
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from carrel.cli.demo.site import Site
from carrel.cli.release import NAMESPACE_NAME
from carrel.cluster import Ref, connect
from carrel.cluster.refs import SECRET
from carrel.embedded import Person
from carrel.embedded.images import ImageName
from carrel.embedded.instance import FRONT_DOOR_NODE_PORT
from carrel.flows.realm_secrets import PEOPLE

HOST = "carrel.localhost"
"""Browsers look every name below `localhost` up on this machine (RFC 6761, 6.3)."""

_OVERSEER = "identity-admin"


def values(site: Site) -> Mapping[str, Any]:
    """Return the chart's values of the front door; none on a cluster that is not ours."""
    if site.instance is None or ImageName.IDENTITY not in site.images:
        return {}
    people = [person for person in Person if person is not Person.ADMIN]
    return {
        "frontDoor": {
            "host": HOST,
            "port": site.instance.port,
            "hub": "Offered",
            "service": {"type": "NodePort", "nodePort": FRONT_DOOR_NODE_PORT},
        },
        "identity": {
            "service": "Demo",
            # The subjects of their kubeconfigs, so that a grant names one and the same person.
            "people": [{"username": each.value, "subject": each.subject} for each in people],
            "overseers": [{"username": _OVERSEER, "subject": f"demo-{_OVERSEER}"}],
        },
    }


async def passwords(site: Site) -> Mapping[str, str]:
    """Return everybody's first password, as the trust hook made it; none without a front door."""
    if not values(site):
        return {}
    async with connect(site.kubeconfig(Person.ADMIN)) as cluster:
        found = await cluster.get(Ref(SECRET, PEOPLE, NAMESPACE_NAME)) or {}
    data = found.get("data", {})
    return {name: base64.b64decode(data[name]).decode() for name in sorted(data)}


def tell(console: Console, site: Site, *, known: Mapping[str, str]) -> None:
    """Say where to log in and as whom; the same passwords at every run."""
    if site.instance is None or not known:
        return
    table = Table(
        title=f"People who can log in at https://{HOST}:{site.instance.port}",
        title_justify="left",
    )
    table.add_column("Name")
    table.add_column("First password")
    for name, password in known.items():
        table.add_row(name, password)
    console.print(table)
