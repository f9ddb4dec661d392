"""`DatasetIngest`: a data manager's request to publish a folder of images as a dataset."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.dataset import DUOCode
from carrel.kinds.resource import (
    Column,
    Conditions,
    Count,
    Digest,
    Kind,
    Label,
    Model,
    ObjectName,
    Resource,
    Rule,
    Scope,
    Sentence,
    Username,
)


class UploadState(StrEnum):
    """Whether more files will come."""

    OPEN = "Open"
    """Files are being uploaded to the staging area."""
    SEALED = "Sealed"
    """All files are there; the job may read them."""


class DeidentificationOption(StrEnum):
    """Options of the confidentiality profile (PS3.15 E.3) that let more stand in an image."""

    CLEAN_PIXELS = "CleanPixels"
    """Text in pixels was removed (113101)."""
    CLEAN_VISUAL_FEATURES = "CleanVisualFeatures"
    """Recognisable features were removed, as a face from a head (113102)."""
    CLEAN_GRAPHICS = "CleanGraphics"
    """Overlays and annotations were cleaned (113103)."""
    CLEAN_STRUCTURED_CONTENT = "CleanStructuredContent"
    """The content of reports was cleaned (113104)."""
    CLEAN_DESCRIPTORS = "CleanDescriptors"
    """Descriptions were cleaned of identifying words (113105)."""
    FULL_DATES = "FullDates"
    """Dates and times are the true ones (113106)."""
    MODIFIED_DATES = "ModifiedDates"
    """Dates and times are shifted, by the same amount for one person (113107)."""
    PATIENT_CHARACTERISTICS = "PatientCharacteristics"
    """Sex, age, size, weight and the like are kept (113108)."""
    DEVICE_IDENTITY = "DeviceIdentity"
    """Serial numbers and names of devices are kept (113109)."""
    UIDS = "UIDs"
    """UIDs are the true ones (113110)."""
    INSTITUTION_IDENTITY = "InstitutionIdentity"
    """The institution is named (113112)."""


class SealedUpload(Model):
    """What the uploader says was sent, so that a lost file shows."""

    files: Annotated[int, Field(ge=1, le=10_000_000)]
    """Number of files."""
    bytes: Count
    """Total size."""
    digest: Digest
    """SHA-256 over the lines `<index> <sha256>` in order of index."""


class DatasetIngestSpec(Model):
    """What is to be published."""

    name: Label
    """Family name of the dataset."""
    title: Sentence
    """What people call it."""
    source: Sentence
    """Where the images come from and who answers for them."""
    manager: Username
    """The authenticated user who ingests."""
    token_digest: Digest
    """SHA-256 of the upload token that only the uploader holds."""
    use: Annotated[tuple[DUOCode, ...], Field(max_length=32)] = ()
    """Data use terms that a purpose must state."""
    approvals: Annotated[int, Field(ge=1, le=5)]
    """How many distinct approvers a grant of this dataset needs."""
    upload: UploadState
    """Open or Sealed."""
    sealed: SealedUpload | None = None
    """What was sent, once sealed."""


class Refusal(Model):
    """A file that may not enter, by its number in the upload; names stay with the uploader."""

    index: Count
    """Number of the file in the upload, from 0."""
    rule: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
    """The check that refused it."""
    detail: Annotated[str, StringConstraints(max_length=256)] = ""
    """Tag path or reason; never a value from the file."""


class RuleCount(Model):
    """How many files a rule refused."""

    rule: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
    """The check."""
    count: Count
    """Files."""


class DatasetIngestStatus(Model):
    """How far it is."""

    conditions: Conditions = ()
    """Staged, Gated and Published."""
    observed_generation: Count = 0
    """The specification that was looked at."""
    done: Count = 0
    """Files read so far."""
    accepted: Count = 0
    """Files that entered the dataset."""
    refused: Annotated[
        tuple[RuleCount, ...],
        Field(max_length=64, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["rule"]}),
    ] = ()
    """Files refused, by rule."""
    refusals: Annotated[tuple[Refusal, ...], Field(max_length=2000)] = ()
    """The first 2,000 refused files; the job's report in the store holds all."""
    dataset: ObjectName | None = None
    """The Dataset that was published."""


class DatasetIngest(Kind):
    """A data manager's request to publish a folder of images as a dataset."""

    resource: ClassVar[Resource] = Resource(
        kind="DatasetIngest",
        plural="datasetingests",
        scope=Scope.CLUSTER,
        short_names=("ingest",),
        columns=(
            Column(name="Dataset", path=".status.dataset"),
            Column(name="Upload", path=".spec.upload"),
            Column(name="Done", path=".status.done", type="integer"),
            Column(name="Accepted", path=".status.accepted", type="integer"),
            Column(name="Published", path='.status.conditions[?(@.type=="Published")].status'),
            Column(name="Age", path=".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                rule="oldSelf.upload == 'Open' || self == oldSelf",
                field="spec",
                message="A sealed ingest never changes.",
            ),
            Rule(
                rule="self.name == oldSelf.name && self.title == oldSelf.title "
                "&& self.source == oldSelf.source && self.manager == oldSelf.manager "
                "&& self.tokenDigest == oldSelf.tokenDigest "
                "&& self.approvals == oldSelf.approvals "
                "&& has(self.use) == has(oldSelf.use) "
                "&& (!has(self.use) || self.use == oldSelf.use)",
                field="spec",
                message="Only upload and sealed change after an ingest was created.",
            ),
            Rule(
                rule="(self.upload == 'Sealed') == has(self.sealed)",
                field="spec",
                message="A sealed ingest says what was sent, an open one does not.",
            ),
        ),
    )

    kind: Literal["DatasetIngest"] = "DatasetIngest"
    """DatasetIngest."""
    spec: DatasetIngestSpec
    """What is to be published."""
    status: DatasetIngestStatus = DatasetIngestStatus()
    """How far it is."""
