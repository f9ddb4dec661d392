"""`carrel dataset check|clean|dictionary`: the gate and its tools, without a cluster."""

import dataclasses
import io
import json
import os
import secrets
import warnings
from pathlib import Path
from typing import Annotated

import pydicom
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
from rich.table import Table

from carrel.dicom import STRICT, GatePolicy
from carrel.dicom.clean import CleaningError, clean
from carrel.dicom.dictionary import (
    LARGEST_BYTES,
    DictionaryError,
    decoded,
    encoded,
    make_dictionary,
)
from carrel.flows.folder_check import Checked, check
from carrel.flows.upload_folder import shown, survey
from carrel.kinds.ingest import DeidentificationOption

_SHOWN = 30

Folder = Annotated[Path, typer.Argument(help="Folder with DICOM files; links are not followed.")]


def add_gate_commands(app: typer.Typer) -> None:
    """Add the commands of this module to `carrel dataset`."""
    app.command(name="check")(check_folder)
    app.command(name="clean")(clean_folder)
    app.command(name="dictionary")(write_dictionary)


def check_folder(
    folder: Folder,
    *,
    dictionary: Annotated[
        Path | None, typer.Option(help="Keyed hashes of names and numbers that must not appear.")
    ] = None,
    options: Annotated[
        list[DeidentificationOption] | None,
        typer.Option(help="Option of PS3.15 that files may declare; repeatable."),
    ] = None,
    uid_root: Annotated[
        list[str] | None, typer.Option(help="Root of your remapped UIDs beside 2.25; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that read.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what the gate would refuse, without sending anything.

    Exit code 0 when every file passes, 1 when one is refused, 2 when the folder cannot be read.

    Example: carrel dataset check ./lung --options PatientCharacteristics --json
    """
    say = Console(stderr=as_json, highlight=False)
    try:
        policy = _policy(dictionary, options=options or [], roots=uid_root or [])
        done = _checked(folder, policy=policy, workers=workers, say=say)
    except (OSError, DictionaryError) as error:
        typer.echo(f"carrel dataset check: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done), indent=2))
    else:
        _show(done, say=say)
    raise typer.Exit(1 if done.refused else 0)


def clean_folder(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="Folder to write to; it must not exist.")],
) -> None:
    """Clean published sample images for demonstrations; no anonymisation product.

    Images of kinds that often show text become black. What cannot be cleaned is left out and
    told. The key of pseudonyms is drawn anew each time and thrown away. Exit code 0 when every
    file was cleaned, 1 when some were left out, 2 when folders cannot be read or written.

    Example: carrel dataset clean ./published ./sample
    """
    key, written, left = secrets.token_bytes(32), 0, list[tuple[str, str]]()
    try:
        found = survey(folder)
        out.mkdir(parents=True)
        for file in found.files:
            try:
                data = _cleaned(file.path, key=key)
            except CleaningError as error:
                left.append((shown(file.path), str(error)))
                continue
            (out / f"{written:08}.dcm").write_bytes(data)
            written += 1
    except OSError as error:
        typer.echo(f"carrel dataset clean: {error}", err=True)
        raise typer.Exit(2) from error
    for name, reason in left:
        typer.echo(f"left out: {name}: {reason}", err=True)
    typer.echo(f"{written:,} files cleaned, {len(left):,} left out")
    raise typer.Exit(1 if left else 0)


def write_dictionary(
    names: Annotated[Path, typer.Argument(help="Text file, one name or number a line.")],
    out: Annotated[Path, typer.Argument(help="Dictionary to write; it must not exist.")],
) -> None:
    """Hash names and numbers with a fresh key, for `check --dictionary`.

    The file tries guesses for whoever holds it, because the key is in it: keep it as you keep
    the names. It is written for its owner alone.

    Example: carrel dataset dictionary names.txt site-a.dictionary
    """
    try:
        made = make_dictionary(names.read_text().splitlines(), key=secrets.token_bytes(32))
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
            file.write(encoded(made))
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"carrel dataset dictionary: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{len(made.digests):,} hashes are in {shown(out)}")


def _policy(
    dictionary: Path | None, *, options: list[DeidentificationOption], roots: list[str]
) -> GatePolicy:
    known = None
    if dictionary is not None:
        if dictionary.stat().st_size > LARGEST_BYTES:
            raise DictionaryError(
                f"dictionary_is_too_large: at most {LARGEST_BYTES:,} bytes are read."
            )
        known = decoded(dictionary.read_text("ascii", "replace"))
    element = dataclasses.replace(
        STRICT.element,
        dictionary=known,
        uid_roots=tuple(f"{root.rstrip('.')}." for root in roots if root.strip(".")),
    )
    return GatePolicy(element=element, allowed=frozenset(options))


def _checked(folder: Path, *, policy: GatePolicy, workers: int, say: Console) -> Checked:
    found = survey(folder)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=say,
    ) as progress:
        task = progress.add_task("Gate", total=len(found.files), rate="")

        def tell(files: int, _: int) -> None:
            speed = progress.tasks[task].speed
            rate = f"{speed:,.0f} files/s" if speed else ""
            progress.update(task, completed=files, rate=rate)

        return check(found, folder, policy=policy, workers=workers, tell=tell)


def _cleaned(path: Path, *, key: bytes) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old samples break rules that cleaning keeps out
        try:
            clean(pydicom.dcmread(path), key=key).save_as(data, enforce_file_format=True)
        except CleaningError:
            raise
        except Exception as error:
            raise CleaningError(f"it cannot be read ({type(error).__name__})") from error
    return data.getvalue()


def _show(done: Checked, *, say: Console) -> None:
    for title, rows in (("Refuses", done.findings), ("Warns", done.warnings)):
        if rows:
            table = Table(title, "Files", "Elements", "Where")
            for each in rows:
                places = sorted(each.paths, key=lambda path: -each.paths[path])[:4]
                table.add_row(each.rule, f"{each.files:,}", f"{each.elements:,}", " ".join(places))
            say.print(table, markup=False)
    if done.refusals:
        table = Table("Refused file", "Rule", "Detail")
        for refusal in done.refusals[:_SHOWN]:
            table.add_row(refusal.file, refusal.rule, refusal.detail)
        say.print(table, markup=False)
    say.print(
        f"{done.accepted:,} of {done.files:,} files would be accepted, {done.refused:,} refused.",
        markup=False,
    )
