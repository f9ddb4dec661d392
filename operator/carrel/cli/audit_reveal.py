"""`carrel audit reveal`: sealed names and URLs in clear, for a reason that is kept."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from carrel.audit.index import Index
from carrel.audit.places import index_path
from carrel.audit.query import Query
from carrel.audit.reveal import revealed
from carrel.audit.shown import inert
from carrel.audit.source import source_of
from carrel.audit.story import moment_of, place_of
from carrel.flows.clock import SystemClock
from carrel.ledger import Keyring, LedgerError, open_chain


def reveal(
    *,
    log: Annotated[Path, typer.Option(envvar="CARREL_LEDGER", help="Folder of the records.")],
    keys: Annotated[Path, typer.Option(help="Folder of the projects' keys.")],
    records: Annotated[Path, typer.Option(help="Folder in which this reading is recorded.")],
    reader: Annotated[str, typer.Option("--as", help="Your opaque id.")],
    why: Annotated[str, typer.Option(help="Why you read it; kept in the records.")],
    grant: Annotated[str | None, typer.Option(help="Name of a grant.")] = None,
    person: Annotated[str | None, typer.Option(help="Opaque id of a person.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    index: Annotated[Path | None, typer.Option(help="The index.", show_default="cache")] = None,
) -> None:
    """Read sealed names and URLs in clear; the reading itself is recorded first.

    Example: carrel audit reveal --log DIR --keys KEYS --records MINE --as 7f3a --grant lung-2026 \
      --why "incident 12: which server was tried"
    """
    clock = SystemClock()
    question = Query(
        grant=grant,
        person=person,
        since=since.replace(tzinfo=UTC) if since else None,
        limit=limit,
    )
    try:
        with Index(index or index_path(log), source_of(log)) as opened:
            opened.follow()
            hits = opened.search(question).hits
        with open_chain(records, process="auditor", clock=clock) as chain:
            found = asyncio.run(
                revealed(
                    hits,
                    keys=Keyring(keys),
                    ledger=chain,
                    reader=reader,
                    why=why,
                    now=clock.now(),
                )
            )
    except (LedgerError, OSError) as error:
        typer.echo(f"carrel audit reveal: {inert(str(error))}", err=True)
        raise typer.Exit(2) from error
    for each in found:
        time = moment_of(each.hit).isoformat(timespec="seconds")
        typer.echo(f"{time}  {each.field}: {inert(each.text)}  [{place_of(each.hit)}]")
    if not found:
        typer.echo("None of these records holds a sealed field.")
