"""Following an ingest until it has ended, and what to tell of it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from carrel.cluster import ChangeType, Cluster, KindRef
from carrel.flows.upload_folder import LocalFile, LocalRefusal, shown
from carrel.kinds import DatasetIngest
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.rules.condition import find

INGESTS = KindRef.of(DatasetIngest)


class IngestGoneError(Exception):
    """Somebody deleted the ingest while it was followed."""


class Ending(StrEnum):
    """How an ingest ended."""

    PUBLISHED = "Published"
    NOT_PUBLISHED = "NotPublished"


@dataclass(frozen=True)
class RefusedFile:
    """A refused file under its local name."""

    file: str
    rule: str
    detail: str


@dataclass(frozen=True)
class Report:
    """What became of a folder."""

    ingest: str
    ending: Ending
    dataset: str | None
    sentence: str
    files: int
    accepted: int
    refused: tuple[RefusedFile, ...]
    untold: int
    """Refused files beyond those that the status lists."""


async def follow(name: str, *, cluster: Cluster) -> AsyncIterator[DatasetIngest]:
    """Yield the ingest at each change; the last one has ended.

    Raises:
        IngestGoneError: when the ingest is deleted.

    """
    async for change in cluster.watch(INGESTS, fields=f"metadata.name={name}"):
        stored = change.object
        if change.type is ChangeType.SYNCED or stored["metadata"]["name"] != name:
            continue
        if change.type is ChangeType.DELETED:
            raise IngestGoneError(
                f"ingest_is_gone: somebody deleted {name}; run the same command to begin anew."
            )
        ingest = DatasetIngest.model_validate(stored)
        yield ingest
        if _ending(ingest) is not None:
            return


def report(
    ingest: DatasetIngest, *, files: Sequence[LocalFile], refused: Sequence[LocalRefusal]
) -> Report:
    """Join what the job said with the names that never left the machine."""
    status, ending = ingest.status, _ending(ingest)
    names = {file.index: shown(file.path) for file in files}
    here = [RefusedFile(shown(each.path), each.rule, each.detail) for each in refused]
    there = [
        RefusedFile(names.get(each.index, f"file {each.index}"), each.rule, each.detail)
        for each in status.refusals
    ]
    published = find(status.conditions, "Published")
    numbered = {file.path for file in files}
    return Report(
        ingest=ingest.metadata.name,
        ending=ending or Ending.NOT_PUBLISHED,
        dataset=status.dataset,
        sentence=published.message if published else "",
        files=len(files) + sum(each.path not in numbered for each in refused),
        accepted=status.accepted,
        refused=(*here, *there),
        untold=sum(each.count for each in status.refused) - len(there),
    )


def _ending(ingest: DatasetIngest) -> Ending | None:
    found: Condition | None = find(ingest.status.conditions, "Published")
    match found.status if found else ConditionStatus.UNKNOWN:
        case ConditionStatus.TRUE:
            return Ending.PUBLISHED
        case ConditionStatus.FALSE:
            return Ending.NOT_PUBLISHED
        case ConditionStatus.UNKNOWN:
            return None
