"""Progress bars of an ingest: rate and time left while files go up and while they are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from carrel.flows.dataset_upload import Uploaded
from carrel.flows.upload_folder import Survey
from carrel.kinds import DatasetIngest
from carrel.rules.condition import find


@contextmanager
def show_upload(found: Survey, *, say: Console) -> Iterator[Callable[[Uploaded], None]]:
    """Show how the upload goes on; yields what to call with each figure."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[files]}"),
        console=say,
    ) as progress:
        task = progress.add_task("Uploading", total=found.bytes, files="")

        def tell(done: Uploaded) -> None:
            files = f"{done.files:,} of {len(found.files):,} files"
            held = f", {done.held:,} were there" if done.held else ""
            progress.update(task, completed=done.bytes, files=files + held)

        yield tell


@contextmanager
def show_gate(files: int, *, say: Console) -> Iterator[Callable[[DatasetIngest], None]]:
    """Show how the job goes on; yields what to call with each state of the ingest."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[sentence]}"),
        console=say,
    ) as progress:
        task = progress.add_task(
            "Gate     ", total=files, sentence="The platform starts the job that reads the files."
        )

        def tell(ingest: DatasetIngest) -> None:
            gated = find(ingest.status.conditions, "Gated")
            if gated is not None:
                progress.update(task, completed=ingest.status.done, sentence=gated.message)

        yield tell
