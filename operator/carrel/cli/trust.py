"""`carrel trust`: certificates and keys of the platform, made and renewed."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.realm_secrets import Account, ensure_realm
from carrel.flows.trust import Certificates, TrustError, ensure_trust
from carrel.render.realm import RealmAddresses

app = typer.Typer(
    help="Certificates and keys between the platform's processes.", no_args_is_help=True
)


@app.callback()
def trust() -> None:
    """Certificates and keys between the platform's processes."""


@app.command()
def ensure(
    *,
    namespace: Annotated[str, typer.Option(help="Namespace of the platform.")] = "carrel-system",
    certificates: Annotated[
        Certificates, typer.Option(help="Who makes certificates.")
    ] = Certificates.MADE,
    service: Annotated[
        list[str] | None,
        typer.Option(help="A service that needs a certificate, such as carrel-mirror."),
    ] = None,
    realm_of: Annotated[
        tuple[str, str, str] | None,
        typer.Option(
            help="Origins of portal, Hub and gateway, for the realm of the demo's identity "
            "provider.",
            metavar="PORTAL HUB GATEWAY",
        ),
    ] = None,
    person: Annotated[
        list[str] | None, typer.Option(help="Somebody in that realm, as USERNAME=SUBJECT.")
    ] = None,
    overseer: Annotated[
        list[str] | None, typer.Option(help="As --person, but may disable the others there.")
    ] = None,
    front_door: Annotated[
        str, typer.Option(help="Host that browsers ask, such as carrel.example.org.")
    ] = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="Absent inside a pod.")
    ] = None,
) -> None:
    """Make what is missing and renew what is due; safe to run again at any time.

    Example: carrel trust ensure --kubeconfig admin.conf
    """
    people = (
        *(_account(each, administers=False) for each in person or ()),
        *(_account(each, administers=True) for each in overseer or ()),
    )
    try:
        done = asyncio.run(
            _ensure(
                namespace=namespace,
                certificates=certificates,
                services=tuple(service or ()),
                realm_of=realm_of,
                people=people,
                front_door=front_door,
                kubeconfig=kubeconfig,
            )
        )
    except (TrustError, ClusterError) as error:
        typer.echo(f"carrel trust ensure: {error}", err=True)
        raise typer.Exit(1) from error
    for sentence in done or ("everything was there and is good",):
        typer.echo(sentence)


async def _ensure(
    *,
    namespace: str,
    certificates: Certificates,
    services: tuple[str, ...],
    realm_of: tuple[str, str, str] | None,
    people: tuple[Account, ...],
    front_door: str,
    kubeconfig: Path | None,
) -> tuple[str, ...]:
    async with connect(kubeconfig, user_agent="carrel-trust") as cluster:
        done = await ensure_trust(
            cluster,
            namespace=namespace,
            certificates=certificates,
            clock=SystemClock(),
            services=services,
            front_door=front_door,
        )
        if realm_of is None:
            return done
        portal, hub, gateway = realm_of
        addresses = RealmAddresses(portal=portal, hub=hub, gateway=gateway)
        made = await ensure_realm(cluster, namespace=namespace, addresses=addresses, people=people)
        return (*done, *made)


def _account(given: str, *, administers: bool) -> Account:
    username, _, subject = given.partition("=")
    if not (username and subject):
        raise typer.BadParameter(f"{given!r} is not USERNAME=SUBJECT.")
    return Account(username=username, subject=subject, administers=administers)
