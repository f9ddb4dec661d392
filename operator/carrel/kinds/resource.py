"""What every kind shares: the model's law, metadata, conditions and field types.

Conventions (Kubernetes API conventions, tightened): conditions come first in a
status, no phase, no booleans, no floats, a bound on every string and list, a
sentence under every field.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

GROUP = "carrel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str)]
"""A point in time, to the second, in UTC when written (RFC 3339)."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
"""A SHA-256 as `sha256:` and 64 lower-case hexadecimal digits."""

Label = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
"""A DNS label (RFC 1123)."""

ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        min_length=1,
        max_length=253,
    ),
]
"""A name of a Kubernetes object (RFC 1123 subdomain)."""

Subject = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""An OpenID Connect `sub`: opaque, case sensitive, at most 255 characters (OIDC Core 2)."""

Username = Annotated[
    str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A user name as the API server authenticates it."""

ObjectUID = Annotated[str, StringConstraints(pattern=r"^[-0-9a-zA-Z]{1,64}$", max_length=64)]
"""The UID that the API server gave an object."""

DicomUID = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
"""A DICOM unique identifier (PS3.5 section 9)."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""Words for people, at most 1,024 characters."""

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A whole number of things, never negative, exact in JSON."""


class Model(BaseModel):
    """A frozen value with camelCase names on the wire and no unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON-ready form: camelCase names, no fields that hold nothing."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Scope(StrEnum):
    """Where objects of a kind live."""

    CLUSTER = "Cluster"
    NAMESPACED = "Namespaced"


class Rule(Model):
    """A CEL rule that the API server checks on one object (x-kubernetes-validations)."""

    rule: str
    """The CEL expression that must hold; `self` is the object, `oldSelf` what it was."""
    message: str
    """The sentence a person reads when it does not hold."""
    field: str = ""
    """Dotted path of the part the rule stands on, empty for the whole object."""


class Column(Model):
    """A column of `kubectl get`."""

    name: str
    """Heading."""
    path: str
    """JSONPath of the value, beginning with a dot."""
    type: Literal["string", "integer", "date"] = "string"
    """OpenAPI type of the value."""


class Resource(Model):
    """How a kind is served."""

    kind: str
    """Name of the kind."""
    plural: str
    """Lower-case plural, which is the name in URLs."""
    scope: Scope
    """Cluster or Namespaced."""
    short_names: tuple[str, ...] = ()
    """Short names that kubectl accepts."""
    columns: tuple[Column, ...] = ()
    """Columns of `kubectl get`."""
    rules: tuple[Rule, ...] = ()
    """What one object can tell about itself."""
    status_subresource: Literal["Served", "Absent"] = "Served"
    """Whether status is written by a request of its own."""

    @property
    def singular(self) -> str:
        """Lower-case name of the kind."""
        return self.kind.lower()

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


class OwnerReference(Model):
    """The part of an owner reference that Carrel reads."""

    model_config = ConfigDict(extra="ignore")

    api_version: str
    """Group and version of the owner."""
    kind: str
    """Kind of the owner."""
    name: str
    """Name of the owner."""
    uid: str
    """UID of the owner."""


class Metadata(Model):
    """The part of an object's metadata that Carrel reads."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """Name of the object."""
    namespace: str | None = None
    """Namespace, absent for cluster-scoped kinds."""
    uid: str | None = None
    """UID, absent before the API server has stored the object."""
    generation: int | None = None
    """Number of the present specification."""
    resource_version: str | None = None
    """Version for optimistic concurrency."""
    creation_timestamp: Time | None = None
    """When the API server stored the object."""
    deletion_timestamp: Time | None = None
    """When deletion was asked for."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels."""
    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Annotations."""
    finalizers: tuple[str, ...] = ()
    """Who must still act before the object goes."""
    owner_references: tuple[OwnerReference, ...] = ()
    """Owners."""


class ConditionStatus(StrEnum):
    """The three answers a condition can give."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One observation about an object, with a reason for machines and a sentence for people."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{0,62}$", max_length=63)]
    """What is being said, in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$", max_length=63)]
    """Why, in one CamelCase word that the reference explains."""
    message: Annotated[str, StringConstraints(max_length=1024)]
    """What it means and what to do next, in a sentence."""
    observed_generation: Count = 0
    """The specification that was looked at."""
    last_transition_time: Time | None = None
    """When the status last changed."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(max_length=16, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["type"]}),
]
"""All conditions of an object; each is always present."""


class Kind(Model):
    """An object of the API: subclasses set `resource`, `spec` and `status`."""

    resource: ClassVar[Resource]

    api_version: Literal["carrel.dev/v1alpha1"] = "carrel.dev/v1alpha1"
    """Group and version."""
    metadata: Metadata
    """Standard metadata."""

    @property
    def uid(self) -> str:
        """UID of a stored object; empty for one that never was stored."""
        return self.metadata.uid or ""
