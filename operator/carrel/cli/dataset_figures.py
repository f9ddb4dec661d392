"""`carrel dataset report` and `catalogue`: what a dataset holds, before anybody relies on it."""

import asyncio
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
from rich.table import Table

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.dicom.bias import SMALLEST_GROUP
from carrel.flows.dataset_catalogue import (
    CatalogueError,
    facts_of_dataset,
    facts_of_folder,
    read_given,
    written,
)
from carrel.flows.dataset_report import folder_report
from carrel.flows.upload_folder import Survey, survey
from carrel.render.report_page import report_page
from carrel.rules.catalogue import CatalogueFacts, catalogue_record
from carrel.rules.dataset_report import DatasetReport


def report(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files, as for `ingest`.")],
    *,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as a page to this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    smallest_group: Annotated[
        int, typer.Option(min=5, max=1000, help="Fewer subjects than this are never told.")
    ] = SMALLEST_GROUP,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that read files.")] = 2,
) -> None:
    """Report on quality and bias of a folder; nothing is uploaded.

    Exit code 0 when there is no finding, 1 when there are findings or refused files, 2 when the
    command could not do its work.

    Example: carrel dataset report ./lung --html lung.html
    """
    say = Console(stderr=as_json, highlight=False)
    try:
        found = survey(folder)
        done = _reported(found, folder=folder, smallest=smallest_group, workers=workers, say=say)
        if html is not None:
            html.write_text(report_page(done), encoding="utf-8")
    except OSError as error:
        typer.echo(f"carrel dataset report: {error}", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(done.model_dump_json(by_alias=True, indent=2))
    else:
        _show(done, say=say)
    if done.quality.totals or done.refused:
        raise typer.Exit(1)


def catalogue(
    target: Annotated[
        str, typer.Argument(help="Name of a dataset version, as lung-ct.v1, or a folder.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="File to write the JSON-LD to.")],
    given: Annotated[
        Path | None, typer.Option(help="YAML or JSON with what only a person can say.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="KUBECONFIG", help="Kubeconfig of the data manager.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that read files.")] = 2,
) -> None:
    """Write the catalogue record of a dataset: HealthDCAT-AP with EUCAIM's additions.

    Exit code 0 when the record is complete, 1 when it is written and a person must still give
    what is listed, 2 when the command could not do its work.

    Example: carrel dataset catalogue lung-ct.v1 --given lung.yaml --out lung.jsonld
    """
    say = Console(stderr=True, highlight=False)
    try:
        said = read_given(given)
        facts = _facts(target, kubeconfig=kubeconfig, workers=workers, say=say)
        record = catalogue_record(facts, said)
        out.write_text(written(record.json_ld), encoding="utf-8")
    except (ClusterError, CatalogueError, OSError) as error:
        typer.echo(f"carrel dataset catalogue: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{out}: interoperability {record.tier}")
    if record.missing:
        typer.echo("record_is_not_complete: no catalogue takes it before these are given:")
        for each in record.missing:
            typer.echo(f"  {each.term}: {each.give}")
        raise typer.Exit(1)


def _facts(target: str, *, kubeconfig: Path | None, workers: int, say: Console) -> CatalogueFacts:
    if Path(target).is_dir():
        with _progress(say) as progress:
            task = progress.add_task("Reading", total=None)
            return facts_of_folder(
                Path(target),
                workers=workers,
                tell=lambda files, total: progress.update(task, advance=files, total=total),
            )
    return asyncio.run(_published(target, kubeconfig))


async def _published(name: str, kubeconfig: Path | None) -> CatalogueFacts:
    async with connect(kubeconfig, user_agent="carrel-dataset") as cluster:
        return await facts_of_dataset(name, cluster=cluster)


def _progress(say: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=say,
    )


def _reported(
    found: Survey, *, folder: Path, smallest: int, workers: int, say: Console
) -> DatasetReport:
    with _progress(say) as progress:
        task = progress.add_task("Reading", total=len(found.files))
        return folder_report(
            found,
            title=f"Report on {folder.resolve().name}",
            smallest=smallest,
            workers=workers,
            tell=lambda files: progress.advance(task, files),
        )


def _show(done: DatasetReport, *, say: Console) -> None:
    table = Table("Finding", "Count")
    for rule, count in done.refused:
        table.add_row(f"refused: {rule}", f"{count:,}")
    for one in done.quality.totals:
        table.add_row(f"{one.rule} ({one.detail})" if one.detail else one.rule, f"{one.count:,}")
    if table.row_count:
        say.print(table, markup=False)
    traits = Table("Trait", "Value", "Subjects at least")
    for each in done.bias.spreads:
        for share in each.shares:
            traits.add_row(each.trait, share.value, f"{share.subjects:,}")
    if traits.row_count:
        say.print(traits, markup=False)
    say.print(
        f"{done.quality.instances:,} images in {done.quality.series:,} series, "
        f"{done.quality.flawless:,} series without a finding.",
        markup=False,
    )
