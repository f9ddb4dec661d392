"""`carrel ledger`: check a chain of records without trusting whoever wrote it."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from carrel.ledger import Receipt, Report
from carrel.ledger import verify as check

app = typer.Typer(help="Check chains of records.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """Check chains of records."""


@app.command()
def verify(
    chain: Annotated[Path, typer.Argument(help="Folder of a chain, or one .jsonl file of it.")],
    *,
    seen: Annotated[
        str | None,
        typer.Option(help="Receipt noted earlier, as SEQUENCE:sha256:HEX; shows a cut-off end."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a record was changed, removed, slipped in or torn; exit code 1 when so.

    Example: carrel ledger verify /var/lib/carrel/ledger/node-lock
    """
    try:
        found = check(chain, seen=_receipt(seen) if seen else None)
    except OSError as error:
        typer.echo(f"carrel ledger verify: chain_cannot_be_read: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        for line in _told(found):
            typer.echo(line)
    if found.faults or found.last is None:
        raise typer.Exit(1)


def _receipt(text: str) -> Receipt:
    sequence, _, digest = text.partition(":")
    if not sequence.isdecimal():
        raise typer.BadParameter(f"{text} is no receipt; write SEQUENCE:sha256:HEX")
    return Receipt(int(sequence), digest)


def _told(found: Report) -> list[str]:
    lines = [
        f"{fault.rule}: {fault.file} line {fault.line}: {fault.detail}" for fault in found.faults
    ]
    lines += [f"gap at record {gap.sequence}, {gap.time}: {gap.reason}" for gap in found.gaps]
    lines += [f"set aside: {name}" for name in found.aside]
    if found.last is None:
        return [*lines, "chain_is_empty: there is no record; name the folder of one process"]
    head = f"{found.last.sequence}:{found.last.digest}"
    verdict = "does not hold" if found.faults else "holds"
    return [*lines, f"{found.records:,} records; the chain {verdict}; receipt of the last: {head}"]
