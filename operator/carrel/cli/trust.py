"""`carrel trust`: certificates and keys of the platform, made and renewed."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.trust import Certificates, TrustError, ensure_trust

app = typer.Typer(
    help="Certificates and keys between the platform's processes.", no_args_is_help=True
)


@app.callback()
def trust() -> None:
    """Certificates and keys between the platform's processes."""


@app.command()
def ensure(
    namespace: Annotated[str, typer.Option(help="Namespace of the platform.")] = "carrel-system",
    certificates: Annotated[
        Certificates, typer.Option(help="Who makes certificates.")
    ] = Certificates.MADE,
    service: Annotated[
        list[str] | None,
        typer.Option(help="A service that needs a certificate, such as carrel-mirror."),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="Absent inside a pod.")
    ] = None,
) -> None:
    """Make what is missing and renew what is due; safe to run again at any time.

    Example: carrel trust ensure --kubeconfig admin.conf
    """
    try:
        done = asyncio.run(
            _ensure(
                namespace=namespace,
                certificates=certificates,
                services=tuple(service or ()),
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
    kubeconfig: Path | None,
) -> tuple[str, ...]:
    async with connect(kubeconfig, user_agent="carrel-trust") as cluster:
        return await ensure_trust(
            cluster,
            namespace=namespace,
            certificates=certificates,
            clock=SystemClock(),
            services=services,
        )
