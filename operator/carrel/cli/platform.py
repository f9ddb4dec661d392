"""`carrel platform`: the platform on a cluster, installed, looked at, retired and removed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from carrel.cli.release import (
    NAMESPACE_NAME,
    Images,
    ReleaseError,
    find_helm,
    install,
    problems,
    uninstall,
)
from carrel.cluster import JSON, Ref, connect
from carrel.cluster.errors import ClusterError
from carrel.cluster.refs import POD
from carrel.flows.clock import SystemClock
from carrel.flows.retirement import STATEFUL_SET, RetirementError, retire

app = typer.Typer(help="The platform on a cluster.", no_args_is_help=True)

Kubeconfig = Annotated[
    Path, typer.Option(envvar="KUBECONFIG", help="Kubeconfig of a cluster administrator.")
]
Helm = Annotated[Path | None, typer.Option(help="Helm 3; absent takes the one on PATH.")]
Minutes = Annotated[float, typer.Option(help="How long to wait, in minutes.", min=0.1)]


@app.callback()
def platform() -> None:
    """Install, look at and remove the platform on a cluster."""


@app.command("install")
def install_command(
    kubeconfig: Kubeconfig,
    set_image: Annotated[
        list[str],
        typer.Option(help="platform=, node= or workspace= and NAME@sha256:DIGEST; repeat."),
    ],
    values: Annotated[Path | None, typer.Option(help="File with values of the chart.")] = None,
    helm: Helm = None,
    timeout: Minutes = 5,
) -> None:
    """Install or upgrade Carrel by its charts and wait until it is ready.

    Example: carrel platform install --values site.yaml
    --set-image platform=r.example.org/platform@sha256:...
    --set-image node=r.example.org/node@sha256:...
    """
    try:
        install(
            kubeconfig,
            images=_images(set_image),
            values=_read_values(values),
            helm=find_helm(helm),
            say=typer.echo,
            timeout=timedelta(minutes=timeout),
        )
    except (ReleaseError, ClusterError) as error:
        raise _refusal("install", error) from error
    typer.echo("Carrel is ready.")


@app.command("uninstall")
def uninstall_command(kubeconfig: Kubeconfig, helm: Helm = None, timeout: Minutes = 6) -> None:
    """Suspend grants, wait until nothing runs, remove the platform; data, homes and ledgers stay.

    Example: carrel platform uninstall --kubeconfig admin.conf
    """
    try:
        uninstall(
            kubeconfig,
            helm=find_helm(helm),
            say=typer.echo,
            timeout=timedelta(minutes=timeout),
        )
    except (ReleaseError, ClusterError) as error:
        raise _refusal("uninstall", error) from error
    typer.echo("Carrel is removed. Kinds, grants, homes and ledgers are still there.")


@app.command()
def status(
    kubeconfig: Kubeconfig,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,  # noqa: FBT002 - how Typer declares a flag
) -> None:
    """Show the platform's pods and what is wrong with them; 1 if anything is.

    Example: carrel platform status --kubeconfig admin.conf
    """
    try:
        pods = asyncio.run(_pods(kubeconfig))
    except ClusterError as error:
        raise _refusal("status", error) from error
    wrong = problems(pods)
    rows = [_row(pod) for pod in pods]
    if as_json:
        typer.echo(json.dumps({"pods": rows, "problems": wrong}))
    else:
        table = Table("Component", "Pod", "Node", "State", "Ready")
        for row in rows:
            table.add_row(*row.values())
        Console().print(table)
        for sentence in wrong or (() if pods else ("Carrel is not installed here.",)):
            typer.echo(sentence)
    if wrong or not pods:
        raise typer.Exit(1)


@app.command("retire", hidden=True)
def retire_command(
    namespace: Annotated[str, typer.Option(help="Namespace of the platform.")],
    operator: Annotated[str, typer.Option(help="StatefulSet of the operator.")],
    deadline: Annotated[int, typer.Option(help="How long to wait, in seconds.", min=1)],
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="Absent inside a pod.")
    ] = None,
) -> None:
    """Suspend grants, wait until nothing runs, stop the operator, remove finalizers.

    The chart runs it before the release goes. Running it again goes on where it stopped.

    Example: `carrel platform retire --namespace carrel-system --operator carrel-operator
    --deadline 600`
    """
    try:
        asyncio.run(
            _retire(
                kubeconfig,
                operator=Ref(STATEFUL_SET, operator, namespace),
                deadline=timedelta(seconds=deadline),
            )
        )
    except (RetirementError, ClusterError) as error:
        raise _refusal("retire", error) from error


async def _retire(kubeconfig: Path | None, *, operator: Ref, deadline: timedelta) -> None:
    async with connect(kubeconfig, user_agent="carrel-retirement") as cluster:
        await retire(
            cluster, operator=operator, clock=SystemClock(), deadline=deadline, say=typer.echo
        )


async def _pods(kubeconfig: Path) -> list[JSON]:
    async with connect(kubeconfig) as cluster:
        return await cluster.list(POD, namespace=NAMESPACE_NAME)


def _row(pod: JSON) -> dict[str, str]:
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    ready = sum(1 for one in containers if one.get("ready"))
    return {
        "component": pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""),
        "pod": pod["metadata"]["name"],
        "node": pod.get("spec", {}).get("nodeName", ""),
        "state": status.get("phase", ""),
        "ready": f"{ready}/{len(containers)}",
    }


def _images(given: list[str]) -> Images:
    """Read `name=reference` pairs; the chart judges the references."""
    pairs = dict(item.partition("=")[::2] for item in given)
    unknown = sorted(set(pairs) - {"platform", "node", "workspace", "identity"})
    if unknown:
        raise ReleaseError(
            f"--set-image knows platform, node, workspace and identity, not {unknown[0]!r}."
        )
    return Images(
        platform=pairs.get("platform", ""),
        node=pairs.get("node", ""),
        workspace=pairs.get("workspace"),
        identity=pairs.get("identity"),
    )


def _read_values(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ReleaseError(f"--values {path} cannot be read: {error}") from error
    if not isinstance(read, Mapping):
        raise ReleaseError(f"--values {path} holds no values: write `key: value` lines.")
    return read


def _refusal(verb: str, error: Exception) -> typer.Exit:
    typer.echo(f"carrel platform {verb}: {error}", err=True)
    return typer.Exit(1)
