"""`carrel explain`: could this workspace reach that, and why."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.reach import ReachError, Standing, standing_of_grant, standing_of_workspace
from carrel.rules.egress import PAGE, Outcome, Ruling, decide
from carrel.rules.egress_target import TargetError, parse_target

_HOME_KUBECONFIG = Path.home() / ".kube" / "config"
_REFUSED = 1
_NOT_ANSWERED = 2


def explain(
    workspace: Annotated[
        str | None,
        typer.Argument(help="Name of a Workspace, or NAMESPACE/NAME.", metavar="WORKSPACE"),
    ] = None,
    *,
    grant: Annotated[str | None, typer.Option(help="An AccessGrant instead.")] = None,
    to: Annotated[
        list[str],
        typer.Option(help="Destination, such as pypi:numpy or 8.8.8.8:443; may be repeated."),
    ],
    kubeconfig: Annotated[
        Path,
        typer.Option(
            envvar="KUBECONFIG",
            help="Kubeconfig whose present user speaks.",
            show_default="~/.kube/config",
        ),
    ] = _HOME_KUBECONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Say whether a workspace could reach a destination, by which rule, and what to do.

    Exit code 0: all allowed. 1: something refused. 2: the question could not be answered.

    Example: carrel explain --grant ct-lungs --to pypi:numpy --to example.org
    """
    if (workspace is None) == (grant is None):
        _fail("Name either a workspace or, with --grant, a grant.")
    try:
        standing = asyncio.run(_standing(workspace, grant, kubeconfig))
        rulings = {
            each: decide(parse_target(each, own_name=standing.own_name), standing.rules)
            for each in to
        }
    except (ReachError, TargetError, ClusterError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps(_answer(standing, rulings), indent=1, ensure_ascii=False))
    else:
        for line in _lines(standing, rulings):
            typer.echo(line)
    refused = any(ruling.outcome is Outcome.REFUSED for ruling in rulings.values())
    raise typer.Exit(_REFUSED if refused else 0)


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"carrel: {sentence}", err=True)
    raise typer.Exit(_NOT_ANSWERED)


async def _standing(workspace: str | None, grant: str | None, kubeconfig: Path) -> Standing:
    async with connect(kubeconfig) as cluster:
        if grant is not None:
            return await standing_of_grant(cluster, grant)
        return await standing_of_workspace(cluster, workspace or "")


def _lines(standing: Standing, rulings: dict[str, Ruling]) -> list[str]:
    lines = [f"For {standing.asker}:", *standing.notes]
    for ruling in rulings.values():
        lines += ["", f"{ruling.outcome}  {ruling.sentence}"]
        lines += [f"  rule {ruling.rule}, explained in {PAGE}"]
        lines += [f"  {ruling.todo}"] if ruling.todo else []
    return lines


def _answer(standing: Standing, rulings: dict[str, Ruling]) -> dict[str, object]:
    return {
        "asker": standing.asker,
        "policy": standing.rules.policy,
        "notes": standing.notes,
        "answers": [
            {
                "to": to,
                "outcome": ruling.outcome,
                "rule": ruling.rule,
                "sentence": ruling.sentence,
                "todo": ruling.todo,
                "page": PAGE,
            }
            for to, ruling in rulings.items()
        ],
    }
