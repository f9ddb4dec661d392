"""One ingest: a Job reads what was uploaded once the upload is sealed."""

from datetime import datetime

from carrel.cluster.refs import JOB, Ref
from carrel.flows.store import INGESTS
from carrel.flows.surroundings import Surroundings
from carrel.flows.writing import create, parsed, remove
from carrel.kinds import DatasetIngest
from carrel.kinds.ingest import UploadState
from carrel.render.ingest_job import ingest_job
from carrel.rules import ingest_job_name, is_true


async def reconcile_ingest(name: str, around: Surroundings) -> datetime | None:
    """Keep the Job of a sealed ingest until it is published; its status is the Job's own.

    A Job that ended without publishing is left for people to read; deleting it tries again.
    """
    ingest = parsed(DatasetIngest, around.store.get(Ref(INGESTS, name)))
    job = Ref(JOB, ingest_job_name(name), around.site.platform_namespace)
    if ingest is None or ingest.metadata.deletion_timestamp is not None or _is_published(ingest):
        await remove(job, around)
        return None
    if ingest.spec.upload is UploadState.SEALED and around.store.get(job) is None:
        await create(ingest_job(ingest, around.site), around)
    return None


def _is_published(ingest: DatasetIngest) -> bool:
    return is_true(ingest.status.conditions, "Published")
