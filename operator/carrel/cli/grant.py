"""`carrel grant`: what a grant asks for, a yes to it, and why it is or is not in force."""

import asyncio
import json
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.approval import (
    ApprovalError,
    AskedScope,
    approve,
    read_approvals,
    read_grant,
    read_grants,
    read_scope,
    refusal,
)
from carrel.kinds import AccessGrant
from carrel.rules import explain_grant, explain_scope, find

app = typer.Typer(help="Grants: what they ask for, approvals, explanations.", no_args_is_help=True)

_T = TypeVar("_T")


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


Grant = Annotated[str, typer.Argument(help="Name of the AccessGrant.", metavar="GRANT")]
Kubeconfig = Annotated[
    Path,
    typer.Option(
        envvar="KUBECONFIG",
        help="Kubeconfig whose present user speaks.",
        show_default="~/.kube/config",
    ),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]
_HOME_KUBECONFIG = Path.home() / ".kube" / "config"


@app.callback()
def grant() -> None:
    """Look at grants and approve them."""


@app.command("scope")
def scope_command(
    name: Grant, kubeconfig: Kubeconfig = _HOME_KUBECONFIG, output: Format = Output.TEXT
) -> None:
    """Print what an approval of the grant would say yes to, and its SHA-256.

    Example: carrel grant scope ct-lungs --output json
    """
    asked = _run(_scope(name, kubeconfig))
    if output is Output.JSON:
        typer.echo(json.dumps({"scope": asked.text, "scopeDigest": asked.digest}))
        return
    typer.echo(asked.text)
    typer.echo(asked.digest)


@app.command("approve")
def approve_command(
    name: Grant,
    kubeconfig: Kubeconfig = _HOME_KUBECONFIG,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    output: Format = Output.TEXT,
) -> None:
    """Show what the grant asks for and approve exactly that, in your own name.

    Example: carrel grant approve ct-lungs --kubeconfig me.conf
    """
    _run(_approve(name, kubeconfig, yes=yes, output=output))


@app.command("explain")
def explain_command(
    name: Grant, kubeconfig: Kubeconfig = _HOME_KUBECONFIG, output: Format = Output.TEXT
) -> None:
    """Say whether the grant is in force, why not, and what to do next.

    Example: carrel grant explain ct-lungs
    """
    sentences = _run(_explain(name, kubeconfig))
    if output is Output.JSON:
        typer.echo(json.dumps({"grant": name, "sentences": sentences}))
        return
    for sentence in sentences:
        typer.echo(sentence)


@app.command("list")
def list_command(kubeconfig: Kubeconfig = _HOME_KUBECONFIG, output: Format = Output.TEXT) -> None:
    """List all grants, whether they are in force, and why not.

    Example: carrel grant list
    """
    grants = _run(_list(kubeconfig))
    if output is Output.JSON:
        typer.echo(json.dumps([_row(item) for item in grants]))
        return
    table = Table("GRANT", "STATE", "IN FORCE", "WHY", "EXPIRES", "PROJECT", box=None)
    for item in grants:
        table.add_row(*_row(item).values())
    Console().print(table)


async def _scope(name: str, kubeconfig: Path) -> AskedScope:
    async with connect(kubeconfig) as cluster:
        return await read_scope(cluster, name)


async def _approve(name: str, kubeconfig: Path, *, yes: bool, output: Output) -> None:
    async with connect(kubeconfig) as cluster:
        asked = await read_scope(cluster, name)
        approver = await cluster.whoami()
        against = refusal(asked, approver=approver)
        if against is not None:
            raise ApprovalError(against)
        # What is asked goes to stderr, so that the result alone can be piped.
        for sentence in explain_scope(asked.scope):
            typer.echo(sentence, err=True)
        typer.echo(f"Scope {asked.digest}.", err=True)
        if not yes:
            typer.confirm(f"Approve this as {approver}?", abort=True, err=True)
        made = await approve(cluster, asked, approver=approver)
    if output is Output.JSON:
        said = {"approval": made.metadata.name, "approver": approver, "scopeDigest": asked.digest}
        typer.echo(json.dumps(said))
    else:
        typer.echo(f"Approved as {approver}: {made.metadata.name}.")
        typer.echo(f"Whether it counts: carrel grant explain {name}")


async def _explain(name: str, kubeconfig: Path) -> tuple[str, ...]:
    async with connect(kubeconfig) as cluster:
        found = await read_grant(cluster, name)
        return explain_grant(found, approvals=await read_approvals(cluster, found))


async def _list(kubeconfig: Path) -> tuple[AccessGrant, ...]:
    async with connect(kubeconfig) as cluster:
        return await read_grants(cluster)


def _row(item: AccessGrant) -> dict[str, str]:
    in_force = find(item.status.conditions, "InForce")
    return {
        "grant": item.metadata.name,
        "state": item.spec.state.value,
        "inForce": in_force.status.value if in_force else "Unknown",
        "why": in_force.reason if in_force else "NotLookedAt",
        "expires": item.spec.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "project": item.spec.project,
    }


def _run(work: Coroutine[None, None, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (ApprovalError, ClusterError) as error:
        typer.echo(f"carrel: {error}", err=True)
        raise typer.Exit(1) from error
