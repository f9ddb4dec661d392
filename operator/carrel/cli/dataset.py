"""`carrel dataset`: publish a folder of images, and see what is published."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from carrel.cli import dataset_figures
from carrel.cli.dataset_gate import add_gate_commands
from carrel.cli.dataset_progress import show_gate, show_upload
from carrel.cluster import Cluster, KindRef, connect
from carrel.cluster.errors import ClusterError
from carrel.flows.dataset_upload import Plan, UploadError, upload
from carrel.flows.demo_data import DemoDataError, write_demo_data
from carrel.flows.ingest_following import Ending, IngestGoneError, Report, follow, report
from carrel.flows.upload_folder import shown, survey
from carrel.flows.upload_memory import UploadMemory, default_directory
from carrel.kinds import Dataset
from carrel.kinds.resource import ConditionStatus
from carrel.rules.condition import find

SHOWN_REFUSALS = 50

app = typer.Typer(help="Publish images as datasets, and see what there is.", no_args_is_help=True)

Kubeconfig = Annotated[
    Path | None, typer.Option(envvar="KUBECONFIG", help="Kubeconfig of the data manager.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback()
def dataset() -> None:
    """Publish images as datasets, and see what there is."""


app.command(name="report")(dataset_figures.report)
app.command(name="catalogue")(dataset_figures.catalogue)
add_gate_commands(app)


@contextmanager
def refusals(command: str) -> Iterator[None]:
    """Turn an error into one sentence and exit code 2."""
    try:
        yield
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        typer.echo(f"carrel dataset {command}: input_is_not_valid: {wrong}", err=True)
        raise typer.Exit(2) from error
    except (ClusterError, UploadError, IngestGoneError, DemoDataError, OSError) as error:
        typer.echo(f"carrel dataset {command}: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo(
            f"carrel dataset {command}: stopped; what arrived is kept for a day, and the same "
            "command continues.",
            err=True,
        )
        raise typer.Exit(130) from None


@app.command()
def ingest(
    folder: Annotated[
        Path, typer.Argument(help="Folder with DICOM files; links are not followed.")
    ],
    *,
    name: Annotated[str, typer.Option(help="Family name; the folder under /datasets.")],
    title: Annotated[str, typer.Option(help="What people call the dataset.")],
    source: Annotated[str, typer.Option(help="Where the images come from, who answers for them.")],
    approvals: Annotated[int, typer.Option(help="Distinct approvers that a grant needs, 1 to 5.")],
    use: Annotated[
        list[str] | None,
        typer.Option(help="Data use term that a purpose must state, as DUO:0000007; repeatable."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the platform.")] = "carrel-system",
    as_json: AsJson = False,
) -> None:
    """Upload a folder, follow the gate, and report file by file what was refused.

    The same command continues after an interruption. Exit code 0 when a version was published,
    1 when nothing was, 2 when the command could not do its work.

    Example: carrel dataset ingest ./lung --name lung-ct --title "Lung CT" --source "Site A, 2026"
    --approvals 1
    """
    plan = Plan(name=name, title=title, source=source, use=tuple(use or ()), approvals=approvals)
    say = Console(stderr=as_json, highlight=False)
    with refusals("ingest"):
        done = asyncio.run(
            _ingest(folder, plan, kubeconfig=kubeconfig, namespace=namespace, say=say)
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done), indent=2))
    else:
        show_report(done, say=say)
    if done.ending is not Ending.PUBLISHED:
        raise typer.Exit(1)


@app.command(name="list")
def list_datasets(*, kubeconfig: Kubeconfig = None, as_json: AsJson = False) -> None:
    """List dataset versions, newest version of each family last.

    Example: carrel dataset list --kubeconfig manager.conf
    """
    with refusals("list"):
        found = asyncio.run(_listed(kubeconfig))
    if as_json:
        typer.echo(json.dumps([each.to_wire() for each in found], indent=2))
        return
    table = Table()
    table.add_column("Dataset", no_wrap=True)
    for heading in ("Ready", "Subjects", "Instances", "MB", "Modalities", "Title"):
        table.add_column(heading)
    for each in found:
        ready = find(each.status.conditions, "Ready")
        counts = each.spec.counts
        table.add_row(
            each.metadata.name,
            (ready.status if ready else ConditionStatus.UNKNOWN).value,
            f"{counts.subjects:,}",
            f"{counts.instances:,}",
            f"{counts.bytes / 1e6:,.1f}",
            " ".join(each.spec.modalities),
            each.spec.title,
        )
    Console(highlight=False).print(table)


@app.command(name="demo-data")
def demo_data(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made where it is missing.")],
) -> None:
    """Write real CT and MR images, cleaned, into a folder to try an ingest with.

    Example: carrel dataset demo-data ./sample
    """
    with refusals("demo-data"):
        made = write_demo_data(folder)
    typer.echo(
        f"{made.files} files of {made.subjects} subjects, {made.studies} studies and "
        f"{made.series} series, {made.bytes / 1e6:.1f} MB, are in {shown(folder)}"
    )


async def ingest_folder(
    folder: Path, plan: Plan, *, cluster: Cluster, namespace: str, memory: Path, say: Console
) -> Report:
    """Upload `folder`, follow the gate to its end and return what became of each file.

    Raises:
        UploadError: when the service refuses in a way that waiting does not change.
        IngestGoneError: when somebody deletes the ingest meanwhile.
        ClusterError: when the API server refuses.
        OSError: when the folder cannot be listed.

    """
    found = await asyncio.to_thread(survey, folder)
    kept = UploadMemory(memory, folder=folder, dataset=plan.name)
    with show_upload(found, say=say) as tell:
        sent = await upload(
            found, plan, cluster=cluster, namespace=namespace, memory=kept, tell=tell
        )
    with show_gate(sent.sealed.files, say=say) as tell_gate:
        async for last in follow(sent.ingest, cluster=cluster):
            tell_gate(last)
            ended = last
    kept.forget()
    return report(ended, files=found.files, refused=(*found.refused, *sent.refused))


def show_report(done: Report, *, say: Console) -> None:
    """Print a report for people."""
    if done.refused:
        table = Table("Refused file", "Rule", "Detail")
        for each in done.refused[:SHOWN_REFUSALS]:
            table.add_row(each.file, each.rule, each.detail)
        say.print(table, markup=False)
        more = len(done.refused) - SHOWN_REFUSALS + done.untold
        if more > 0:
            say.print(f"{more:,} more refused files; --json lists up to 2,000.", markup=False)
    say.print(
        f"{done.accepted:,} of {done.files:,} files accepted. {done.sentence}",
        markup=False,
    )


async def _ingest(
    folder: Path, plan: Plan, *, kubeconfig: Path | None, namespace: str, say: Console
) -> Report:
    async with connect(kubeconfig, user_agent="carrel-dataset") as cluster:
        return await ingest_folder(
            folder,
            plan,
            cluster=cluster,
            namespace=namespace,
            memory=default_directory(),
            say=say,
        )


async def _listed(kubeconfig: Path | None) -> list[Dataset]:
    async with connect(kubeconfig, user_agent="carrel-dataset") as cluster:
        stored = await cluster.list(KindRef.of(Dataset))
    found = [Dataset.model_validate(each) for each in stored]
    return sorted(found, key=lambda each: (each.spec.name, each.spec.version))
