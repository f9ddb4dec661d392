"""`carrel doctor`: what this machine lacks for the embedded cluster, and how to mend it."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from carrel import embedded
from carrel.cli.cluster import AsJson, With, refusals
from carrel.embedded.doctor import Check, Verdict, examine, mend, missing

say = Console(highlight=False)


def doctor(
    *,
    network: With = embedded.Network.CILIUM,
    as_json: AsJson = False,
    mend_packages: Annotated[
        bool, typer.Option("--mend", help="Install missing Debian packages (root).")
    ] = False,
) -> None:
    """Check kernel, tools, memory, disk and rights; exit code 1 when something is missing.

    Example: carrel doctor --mend
    """
    with refusals():
        checks = examine(network)
        if mend_packages and (installed := mend(checks)):
            if not as_json:
                say.print(f"Installed {', '.join(installed)}.")
            checks = examine(network)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        _show(checks)
    raise typer.Exit(1 if missing(checks) else 0)


def _show(checks: tuple[Check, ...]) -> None:
    table = Table("what", "is", "found", "mend with")
    for check in checks:
        colour = "green" if check.verdict is Verdict.OK else "red"
        table.add_row(check.subject, f"[{colour}]{check.verdict}[/]", check.found, check.mend)
    say.print(table)
    lacks = missing(checks)
    if not lacks:
        say.print("This machine can run the embedded cluster.")
    elif all(check.packages for check in lacks):
        say.print("`carrel doctor --mend` installs what is missing.")
