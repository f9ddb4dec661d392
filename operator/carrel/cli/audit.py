"""`carrel audit`: answers an auditor's questions and checks the answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from carrel.audit.index import Index
from carrel.audit.places import index_path
from carrel.audit.query import Hit, Order, Page, Query
from carrel.audit.report import everything, gathered, page, rows_csv
from carrel.audit.row import Decision
from carrel.audit.shown import inert
from carrel.audit.source import source_of
from carrel.audit.story import moment_of, place_of, sentence, told
from carrel.cli.audit_reveal import reveal as reveal_command
from carrel.cli.audit_verify import Earlier, InsideKey, LogKey, WitnessKey, checked, print_proof
from carrel.cli.audit_verify import export as export_command
from carrel.cli.audit_verify import verify as verify_command
from carrel.flows.clock import SystemClock
from carrel.ledger import Keyring, LedgerError
from carrel.ledger.event import Activity

app = typer.Typer(help="Search the records, tell stories, check the log.", no_args_is_help=True)
app.command("verify")(verify_command)
app.command("reveal")(reveal_command)
app.command("export")(export_command)


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


Log = Annotated[
    Path,
    typer.Option(
        "--log",
        envvar="CARREL_LEDGER",
        help="Folder with a copy of the log, or with chains of processes.",
    ),
]
IndexFile = Annotated[
    Path | None,
    typer.Option("--index", help="Where the disposable index is kept.", show_default="cache"),
]
Moment = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])]
_MESSAGES = Console(stderr=True)


@app.callback()
def audit() -> None:
    """Answer an auditor's questions from the records, and prove the answers."""


@app.command()
def search(
    *,
    log: Log,
    person: Annotated[str | None, typer.Option(help="Opaque id of a person.")] = None,
    grant: Annotated[str | None, typer.Option(help="Name of a grant.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of a dataset version.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address, name or sealed name that was to be reached.")
    ] = None,
    workspace: Annotated[str | None, typer.Option(help="Name of a workspace.")] = None,
    what: Annotated[
        list[Activity] | None, typer.Option("--what", help="Kind of record; may be repeated.")
    ] = None,
    decision: Annotated[Decision | None, typer.Option(help="How it ended.")] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Records on the page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where a page ended.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Folder of keys: lets --host find sealed names.")
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text, json or csv.")] = (
        Output.TEXT
    ),
    index: IndexFile = None,
) -> None:
    """Find records by person, grant, dataset, host and time; newest first.

    Example: carrel audit search --log /srv/audit/log --person 7f3a --decision Refused
    """
    with _told_plainly(), _index(log, index) as found:
        answer = found.search(
            Query(
                person=person,
                grant=grant,
                dataset=dataset,
                hosts=_hosts(host, keys),
                workspace=workspace,
                activities=tuple(each.value for each in what or ()),
                decision=decision,
                since=_utc(since),
                until=_utc(until),
                cursor=cursor,
                limit=limit,
            )
        )
    _print(answer, output=output)


@app.command()
def timeline(
    grant: Annotated[str, typer.Argument(help="Name of the grant.")],
    *,
    log: Log,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    index: IndexFile = None,
) -> None:
    """Tell a grant's life as a story: who changed it, who used it, what was refused, how it ended.

    Example: carrel audit timeline lung-2026 --log /srv/audit/log
    """
    with _told_plainly(), _index(log, index) as found:
        hits = found.every(Query(grant=grant, order=Order.OLDEST, limit=1000))
        moments = list(told(hits))
    if not moments:
        typer.echo(f"grant_is_not_in_the_records: nothing is said about {inert(grant)}.", err=True)
        raise typer.Exit(1)
    if as_json:
        story = [
            {
                "time": _time(each.time),
                "sentence": each.sentence,
                "decision": each.decision,
                "where": each.where,
                "records": each.records,
            }
            for each in moments
        ]
        typer.echo(json.dumps(story, indent=2, ensure_ascii=False))
        return
    for each in moments:
        times = f" ({each.records} times)" if each.records > 1 else ""
        typer.echo(f"{_time(each.time)}  {each.sentence}{times}  [{each.where}]")


@app.command()
def report(
    *,
    log: Log,
    html: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("audit.html"),
    csv: Annotated[Path, typer.Option(help="Where the table is written.")] = Path("audit.csv"),
    until: Moment = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Length of the period.")] = 7,
    log_key: LogKey = None,
    witness_key: WitnessKey = None,
    inside_witness_key: InsideKey = None,
    checkpoint: Earlier = None,
    index: IndexFile = None,
) -> None:
    """Write the report of a week: a page to print and a table of every record.

    Exit code 1 when the log does not hold; the report is written all the same and says so.

    Example: carrel audit report --log /srv/audit/log --log-key "$KEY" --html week.html
    """
    end = _utc(until) or SystemClock().now()
    start = end - timedelta(days=days)
    with _told_plainly(), _index(log, index) as found:
        proof = checked(
            log,
            log_key=log_key,
            witness_key=witness_key,
            inside_witness_key=inside_witness_key,
            checkpoint=checkpoint,
        )
        whole = gathered(found, since=start, until=end, proof=proof)
        html.write_text(page(whole), encoding="utf-8")
        with csv.open("w", encoding="utf-8", newline="") as file:
            file.writelines(rows_csv(found.every(everything(since=start, until=end))))
    typer.echo(f"wrote {html} and {csv}")
    if proof.faults:
        print_proof(proof)
        raise typer.Exit(1)


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except (LedgerError, OSError) as error:
        typer.echo(f"carrel audit: {inert(str(error))}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def _index(log: Path, path: Path | None) -> Iterator[Index]:
    with Index(path or index_path(log), source_of(log)) as index:
        with Progress(
            SpinnerColumn(),
            TextColumn("Reading new records"),
            TextColumn("{task.completed:,}"),
            TimeElapsedColumn(),
            console=_MESSAGES,
            transient=True,
            disable=not _MESSAGES.is_terminal,
        ) as progress:
            task = progress.add_task("", total=None)
            index.follow(told=lambda done: progress.update(task, completed=done))
        yield index


def _hosts(host: str | None, keys: Path | None) -> tuple[str, ...]:
    """Return every form under which a host may stand in the index."""
    if host is None:
        return ()
    if keys is None:
        return (host,)
    ring = Keyring(keys)
    return (host, *(ring.key(project).index(host) for project in ring.projects()))


def _print(answer: Page, *, output: Output) -> None:
    match output:
        case Output.JSON:
            typer.echo(json.dumps(_wire(answer), indent=2, ensure_ascii=True))
        case Output.CSV:
            for line in rows_csv(answer.hits):
                typer.echo(line, nl=False)
        case Output.TEXT:
            for hit in answer.hits:
                typer.echo(_line(hit))
            if not answer.hits:
                typer.echo("No record answers this question.")
    for text in answer.lost:
        typer.echo(f"record_is_gone: {inert(text)} is no longer where it was", err=True)
    if answer.unreadable:
        typer.echo(
            f"records_are_unreadable: {answer.unreadable:,} places hold no record; "
            "`carrel audit verify` says which",
            err=True,
        )
    if answer.cursor and output is not Output.JSON:
        typer.echo(f"More: --cursor {answer.cursor}", err=True)


def _line(hit: Hit) -> str:
    who = f"{inert(hit.person)}  " if hit.person else ""
    return f"{_time(moment_of(hit))}  {hit.decision.value:8}{who}{sentence(hit)}  [{place_of(hit)}]"


def _wire(answer: Page) -> dict[str, Any]:
    hits = [
        {
            "leaf": hit.stored.place.leaf,
            "writer": hit.stored.writer,
            "sequence": hit.stored.sequence,
            "digest": hit.stored.digest,
            "person": hit.person,
            "decision": hit.decision,
            "sentence": sentence(hit),
            "event": hit.stored.event,
        }
        for hit in answer.hits
    ]
    return {"records": hits, "cursor": answer.cursor, "unreadable": answer.unreadable}


def _time(value: datetime) -> str:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")


def _utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)
