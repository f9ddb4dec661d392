"""`carrel audit verify` and `export`: proofs, and copies that others can check."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from carrel.audit.copy import copied
from carrel.audit.proof import Proof, Trusted, check_chains, check_log
from carrel.audit.receipts import read_receipts, write_receipts
from carrel.audit.shown import inert
from carrel.audit.source import Form, source_of
from carrel.ledger import LedgerError
from carrel.ledger.note import VerifierKey

LogKey = Annotated[
    str | None,
    typer.Option(help="Public key of the log, as NAME+ID+KEY or a file that holds it."),
]
WitnessKey = Annotated[
    list[str] | None,
    typer.Option(help="Public key of a witness outside, whose cosignature is demanded."),
]
InsideKey = Annotated[
    list[str] | None,
    typer.Option(help="Public key of a witness that runs in the log's own cluster."),
]
Earlier = Annotated[
    Path | None,
    typer.Option(help="Kept from an earlier check: a checkpoint, or receipts of chains."),
]
_MESSAGES = Console(stderr=True)


def verify(
    folder: Annotated[Path, typer.Argument(help="A copy of the log, or a folder of chains.")],
    *,
    log_key: LogKey = None,
    witness_key: WitnessKey = None,
    inside_witness_key: InsideKey = None,
    checkpoint: Earlier = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Write here what to keep outside and give with --checkpoint next time."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove that nothing was changed, removed or slipped in, and say what is not proven.

    Exit code 0: it holds; 1: it does not, and the first bad record is named; 2: cannot be read.

    Example: carrel audit verify /srv/audit/log --log-key log.key --checkpoint last-week
    """
    try:
        proof = checked(
            folder,
            log_key=log_key,
            witness_key=witness_key,
            inside_witness_key=inside_witness_key,
            checkpoint=checkpoint,
        )
        if keep is not None and not proof.faults:
            _keep(folder, proof, keep)
    except (LedgerError, OSError) as error:
        typer.echo(f"carrel audit verify: {inert(str(error))}", err=True)
        raise typer.Exit(2) from error
    print_proof(proof, as_json=as_json)
    if proof.faults:
        raise typer.Exit(1)


def export(
    source: Annotated[Path, typer.Argument(help="Folder of the log.")],
    *,
    tiles: Annotated[Path, typer.Option(help="Where the copy goes; continued when it is there.")],
) -> None:
    """Copy the log: tiles, entries and last the checkpoint, which any C2SP tool can check.

    Example: carrel audit export /var/lib/carrel/log --tiles /srv/audit/log
    """
    try:
        with _progress("Copying", "files") as told:
            result = copied(source, tiles, told=told)
    except (LedgerError, OSError, shutil.Error) as error:
        typer.echo(f"carrel audit export: {inert(str(error))}", err=True)
        raise typer.Exit(2) from error
    typer.echo(
        f"{result.files:,} files copied, {result.held:,} were there; the copy has "
        f"{result.size:,} records. Check it: carrel audit verify {tiles} --log-key KEY"
    )


def checked(
    folder: Path,
    *,
    log_key: str | None,
    witness_key: list[str] | None,
    inside_witness_key: list[str] | None,
    checkpoint: Path | None,
) -> Proof:
    """Check a folder of either form, with progress on standard error.

    Raises:
        LedgerError: when it cannot be checked at all.
        OSError: when it cannot be read.

    """
    if source_of(folder).form is Form.CHAINS:
        seen = read_receipts(checkpoint.read_text()) if checkpoint else {}
        return check_chains(folder, seen=seen)
    if log_key is None:
        raise typer.BadParameter(
            "log_key_is_missing: a log is checked against its public key; take it from where the "
            "platform cannot change it, not from the copy itself",
            param_hint="--log-key",
        )
    inside = tuple(_key(text) for text in inside_witness_key or ())
    trusted = Trusted(
        log=_key(log_key),
        witnesses=(*(_key(text) for text in witness_key or ()), *inside),
        earlier=checkpoint.read_bytes() if checkpoint else None,
        inside=tuple(key.name for key in inside),
    )
    with _progress("Checking", "records") as told:
        return check_log(folder, trusted, told=told)


def print_proof(proof: Proof, *, as_json: bool = False) -> None:
    """Print what was found."""
    if as_json:
        heads = {
            name: f"{receipt.sequence}:{receipt.digest}" for name, receipt in proof.heads.items()
        }
        found = {
            "holds": not proof.faults,
            "records": proof.records,
            "faults": proof.faults,
            "proven": proof.proven,
            "unproven": proof.unproven,
            "gaps": proof.gaps,
            "heads": heads,
        }
        typer.echo(json.dumps(found, indent=2))
        return
    for fault in proof.faults:
        typer.echo(f"FAULT  {inert(fault)}")
    for gap in proof.gaps:
        typer.echo(f"gap    {inert(gap)}")
    for text in () if proof.faults else proof.proven:
        typer.echo(f"proven {inert(text)}")
    for text in proof.unproven:
        typer.echo(f"open   {inert(text)}")
    verdict = "does NOT hold" if proof.faults else "holds"
    typer.echo(f"{proof.records:,} records; the log {verdict}.")


def _keep(folder: Path, proof: Proof, path: Path) -> None:
    if proof.heads:
        path.write_text(write_receipts(proof.heads))
    else:
        path.write_bytes((folder / "checkpoint").read_bytes())
    typer.echo(f"Keep {path} where the platform cannot reach it.", err=True)


def _key(text: str) -> VerifierKey:
    path = Path(text)
    return VerifierKey.parse(path.read_text() if "+" not in text and path.is_file() else text)


@contextmanager
def _progress(verb: str, things: str) -> Iterator[Callable[[int, int], object]]:
    with Progress(
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(things),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=_MESSAGES,
        transient=True,
        disable=not _MESSAGES.is_terminal,
    ) as progress:
        task = progress.add_task(verb, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
