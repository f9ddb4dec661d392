"""`Dataset`: one immutable, gated and signed version of a collection of images."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.resource import (
    Column,
    Conditions,
    Count,
    DicomUID,
    Digest,
    Kind,
    Label,
    Model,
    ObjectName,
    Resource,
    Rule,
    Scope,
    Sentence,
)

DUOCode = Annotated[str, StringConstraints(pattern=r"^DUO:[0-9]{7}$", max_length=11)]
"""A term of the GA4GH Data Use Ontology."""

Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{1,16}$", max_length=16)]
"""A DICOM modality (0008,0060)."""

SubjectID = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/\\]+$", min_length=1, max_length=64)
]
"""A pseudonym as it stands in (0010,0020) after de-identification."""


class DatasetCounts(Model):
    """How much a dataset holds."""

    subjects: Count
    """Persons, by pseudonym."""
    studies: Count
    """Studies, by Study Instance UID."""
    series: Count
    """Series, by Series Instance UID."""
    instances: Count
    """Instances, each one file."""
    bytes: Count
    """Total size of the files."""


ProfileValue = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A value that enough subjects share to be named."""


class DatasetProfile(Model):
    """What the gate's report says in brief; the signed manifest names report and tree too."""

    report: Digest
    """SHA-256 of the quality report and bias card, which stand beside the manifest."""
    tree: Digest
    """Root of the tree of digests over subjects, studies and series: a part is provable by it."""
    findings: Count
    """Findings of the quality report, all together."""
    flawless_series: Count
    """Series without a finding."""
    manufacturers: Annotated[tuple[ProfileValue, ...], Field(max_length=64)] = ()
    """Manufacturers of the machines, where enough subjects share them."""
    body_parts: Annotated[tuple[ProfileValue, ...], Field(max_length=64)] = ()
    """Body parts, where enough subjects share them."""
    sexes: Annotated[tuple[ProfileValue, ...], Field(max_length=64)] = ()
    """Sexes, where enough subjects share them."""
    ages: Annotated[tuple[ProfileValue, ...], Field(max_length=64)] = ()
    """Age bands, where enough subjects share them."""


class DatasetSpec(Model):
    """What an ingest published; nothing in it ever changes."""

    name: Label
    """Family name, which is the folder under /datasets in a workspace."""
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    """Number of the version within the family, from 1."""
    title: Sentence
    """What people call it."""
    source: Sentence
    """Where the images come from and who answers for them."""
    digest: Digest
    """Content digest: SHA-256 over the sorted lines `<sha256> <size> <path>` of the manifest."""
    manifest_digest: Digest
    """SHA-256 of the Parquet manifest in the store."""
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$", max_length=88)]
    """Ed25519 signature of the in-cluster ingest over name, version and both digests, in base64."""
    counts: DatasetCounts
    """How much it holds."""
    modalities: Annotated[tuple[Modality, ...], Field(max_length=32)] = ()
    """DICOM modalities present, sorted."""
    profile: DatasetProfile | None = None
    """What the report says in brief; absent for versions from before there were reports."""
    use: Annotated[tuple[DUOCode, ...], Field(max_length=32)] = ()
    """Data use terms that a purpose must state; empty means none is demanded."""
    approvals: Annotated[int, Field(ge=1, le=5)] = 1
    """How many distinct approvers a grant of this dataset needs."""
    ingest: ObjectName
    """The DatasetIngest that gated it."""


class DatasetStatus(Model):
    """What the operator observed."""

    conditions: Conditions = ()
    """Ready: the signature over name, version and digests is the platform's own."""
    observed_generation: Count = 0
    """The specification that was looked at."""


class Dataset(Kind):
    """One immutable version of a collection of images that passed the gate."""

    resource: ClassVar[Resource] = Resource(
        kind="Dataset",
        plural="datasets",
        scope=Scope.CLUSTER,
        short_names=("dset",),
        columns=(
            Column(name="Ready", path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Instances", path=".spec.counts.instances", type="integer"),
            Column(name="Modalities", path=".spec.modalities"),
            Column(name="Age", path=".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                rule="self == oldSelf",
                field="spec",
                message="A dataset version is immutable: publish a new version instead.",
            ),
            Rule(
                # string(version) has no known length, which the API server's cost limit refuses.
                rule="self.metadata.name.startsWith(self.spec.name + '.v') "
                "&& self.metadata.name.matches('[.]v[1-9][0-9]*$') "
                "&& int(self.metadata.name.substring(size(self.spec.name) + 2)) "
                "== self.spec.version",
                message="The name of a Dataset is <spec.name>.v<spec.version>.",
            ),
        ),
    )

    kind: Literal["Dataset"] = "Dataset"
    """Dataset."""
    spec: DatasetSpec
    """What was published."""
    status: DatasetStatus = DatasetStatus()
    """What was observed."""


class Selection(Model):
    """The part of a dataset that is granted; what is listed under several heads is united."""

    subjects: Annotated[tuple[SubjectID, ...], Field(max_length=10_000)] = ()
    """Pseudonyms of whole subjects."""
    studies: Annotated[tuple[DicomUID, ...], Field(max_length=10_000)] = ()
    """Study Instance UIDs of whole studies."""
    series: Annotated[tuple[DicomUID, ...], Field(max_length=10_000)] = ()
    """Series Instance UIDs of whole series."""


class DatasetReference(Model):
    """A dataset version that a grant names."""

    name: Label
    """Family name of the dataset."""
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    """Version within the family."""
    selection: Selection | None = None
    """The part that is granted; absent means all of it."""

    @property
    def object_name(self) -> str:
        """Name of the Dataset object."""
        return f"{self.name}.v{self.version}"
