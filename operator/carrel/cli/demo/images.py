"""The demo's images: real CT and MR files, cleaned, ingested as a data manager would."""

import shutil
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from carrel.cli.demo import desk
from carrel.cli.demo.desk import DemoError
from carrel.cli.demo.site import Site
from carrel.cli.demo.stage import Stages
from carrel.cli.release import NAMESPACE_NAME
from carrel.cluster import Cluster, KindRef, Ref, connect
from carrel.embedded import Person
from carrel.flows.dataset_upload import Plan, Sent, Uploaded, upload
from carrel.flows.demo_data import write_demo_data
from carrel.flows.ingest_following import Ending, Report, follow, report
from carrel.flows.upload_folder import Survey, survey
from carrel.flows.upload_memory import UploadMemory
from carrel.kinds import Dataset

DATASET = "demo-ct"
_PLAN = Plan(
    name=DATASET,
    title="CT and MR images for a first look",
    source="Sample files of the pydicom project, cleaned by Carrel's reference cleaner.",
    use=(),
    approvals=1,
)


async def publish(stages: Stages, site: Site) -> Dataset:
    """Return the demo's dataset, Ready; ingest it as data manager where it is not there yet."""
    with stages.stage("Ingest real DICOM images, as the data manager") as result:
        found = await _ready(site)
        if found is not None:
            result(f"{found.metadata.name} is there already")
            return found
        # The upload belongs to this folder: a later run after an interruption continues it.
        folder = site.keep / "demo-images"
        if not folder.exists():
            write_demo_data(folder)
        async with connect(site.kubeconfig(Person.DATA_MANAGER)) as cluster:
            told = await _ingest(stages, cluster, folder=folder, memory=site.keep / "uploads")
        if told.ending is not Ending.PUBLISHED or told.dataset is None:
            raise DemoError(f"The ingest {told.ingest} published nothing: {told.sentence}")
        shutil.rmtree(folder, ignore_errors=True)
        dataset = await _wait_ready(site, name=told.dataset)
        counts = dataset.spec.counts
        result(
            f"{dataset.metadata.name}: {counts.instances} images of {counts.subjects} subjects, "
            f"{len(told.refused)} files refused"
        )
        return dataset


async def _ready(site: Site) -> Dataset | None:
    async with connect(site.kubeconfig(Person.ADMIN)) as cluster:
        found = [
            Dataset.model_validate(item)
            for item in await cluster.list(KindRef.of(Dataset))
            if item["spec"]["name"] == DATASET and desk.condition_is_true("Ready")(item) is None
        ]
    return max(found, key=lambda item: item.spec.version, default=None)


async def _ingest(stages: Stages, cluster: Cluster, *, folder: Path, memory: Path) -> Report:
    found = survey(folder)
    remembered = UploadMemory(memory, folder=folder, dataset=DATASET)
    columns = (TextColumn("  {task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stages.console, transient=True) as progress:
        sent = await _send(progress, cluster, found=found, memory=remembered)
        reading = progress.add_task("reading and hashing", total=len(found.files))
        ingest = None
        async for ingest in follow(sent.ingest, cluster=cluster):
            progress.update(reading, completed=ingest.status.done)
    remembered.forget()
    if ingest is None:
        raise DemoError(f"The ingest {sent.ingest} vanished.")
    return report(ingest, files=found.files, refused=(*found.refused, *sent.refused))


async def _send(
    progress: Progress, cluster: Cluster, *, found: Survey, memory: UploadMemory
) -> Sent:
    sending = progress.add_task("uploading", total=found.bytes)

    def tell(so_far: Uploaded) -> None:
        progress.update(sending, completed=so_far.bytes)

    return await upload(
        found, _PLAN, cluster=cluster, namespace=NAMESPACE_NAME, memory=memory, tell=tell
    )


async def _wait_ready(site: Site, *, name: str) -> Dataset:
    async with connect(site.kubeconfig(Person.ADMIN)) as cluster:
        found = await desk.wait_for(
            cluster,
            Ref(KindRef.of(Dataset), name),
            until=desk.condition_is_true("Ready"),
            progress=lambda _: "",
            say=lambda _: None,
            seconds=60,
        )
    return Dataset.model_validate(found)
