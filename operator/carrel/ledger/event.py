"""What is recorded: a closed list of activities, one event model, four classes of urgency."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import AwareDatetime, Field, PlainSerializer, StringConstraints

from carrel.kinds.resource import Label, Model, ObjectName, ObjectUID


class RecordClass(StrEnum):
    """How an act and its record wait for each other."""

    STOP = "stop"
    """The act never waits; its record is written at once and retried until it stands."""
    BEFORE = "before"
    """The act waits until its record is durable."""
    WITH = "with"
    """The act goes on when its record is durable; records share one commit within 100 ms."""
    AFTER = "after"
    """The act never waits; its record is durable within 2 s."""


class Activity(StrEnum):
    """Everything that a process of the platform records."""

    CHAIN_OPENED = "ChainOpened"
    CHAIN_CLOSED = "ChainClosed"
    HEARTBEAT = "Heartbeat"
    GAP = "Gap"

    APPROVAL_COUNTED = "ApprovalCounted"
    APPROVAL_REFUSED = "ApprovalRefused"
    GRANT_ADMITTED = "GrantAdmitted"
    GRANT_REFUSED = "GrantRefused"
    GRANT_ENDED = "GrantEnded"

    WORKSPACE_STARTED = "WorkspaceStarted"
    WORKSPACE_STOPPED = "WorkspaceStopped"
    WORKSPACE_CLOSED = "WorkspaceClosed"
    POD_DELETED = "PodDeleted"
    VOLUME_RELEASED = "VolumeReleased"

    VIEW_BUILT = "ViewBuilt"
    VIEW_MOUNTED = "ViewMounted"
    VIEW_REMOVED = "ViewRemoved"
    HOME_MADE = "HomeMade"
    HOME_MOUNTED = "HomeMounted"
    HOME_DELETED = "HomeDeleted"

    LOCK_LOADED = "LockLoaded"
    LOCK_TAMPERED = "LockTampered"
    LOCK_CLOSED = "LockClosed"
    GATE_PROVEN = "GateProven"
    GATE_REFUSED = "GateRefused"
    TRAFFIC_DENIED = "TrafficDenied"
    TRAFFIC_LOST = "TrafficLost"
    COUNTS_RECONCILED = "CountsReconciled"
    COUNTS_RECOVERED = "CountsRecovered"
    RECORDER_BOUND = "RecorderBound"
    RECORDER_UNBOUND = "RecorderUnbound"
    RECORDER_FAILED = "RecorderFailed"
    RECORDER_RETURNED = "RecorderReturned"
    WORKSPACE_FROZEN = "WorkspaceFrozen"
    CGROUP_EMPTIED = "CgroupEmptied"

    INGEST_SEALED = "IngestSealed"
    FILE_REFUSED = "FileRefused"
    DATASET_PUBLISHED = "DatasetPublished"
    STAGING_EMPTIED = "StagingEmptied"

    LOGIN_ADMITTED = "LoginAdmitted"
    LOGIN_REFUSED = "LoginRefused"
    LOGIN_ENDED = "LoginEnded"
    DOOR_OPENED = "DoorOpened"
    DOOR_SERVED = "DoorServed"
    DOOR_REFUSED = "DoorRefused"
    DOOR_SOCKET_OPENED = "DoorSocketOpened"
    DOOR_SOCKET_CLOSED = "DoorSocketClosed"
    DOOR_CUT = "DoorCut"
    DOOR_BUDGET_WARNED = "DoorBudgetWarned"
    DOOR_BUDGET_SPENT = "DoorBudgetSpent"

    ADMINISTRATOR_ACTED = "AdministratorActed"
    POD_ENTERED = "PodEntered"
    AUDIT_LOG_FORWARDED = "AuditLogForwarded"
    AUDIT_LOG_UNREADABLE = "AuditLogUnreadable"
    RECORDS_READ = "RecordsRead"
    SEALED_READ = "SealedRead"
    KEY_DELETED = "KeyDeleted"


def _milliseconds(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(_milliseconds, return_type=str)]
"""A point in time, to the millisecond, in UTC when written (RFC 3339)."""

DetailKey = Annotated[
    str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9]{0,31}$", strict=True, max_length=32)
]
DetailText = Annotated[str, StringConstraints(max_length=1024, strict=True)]
DetailNumber = Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1, strict=True)]


Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,16384}$", strict=True)]


class Sealed(Model):
    """A text that only the holder of a project's key reads; made by `sealing.Key.seal`."""

    project: ObjectName
    """Whose key."""
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """Which key, so that a deleted one is known for deleted."""
    index: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    """HMAC of the text: equal texts of one project are equal here, and nothing else shows."""
    box: Base64
    """Nonce and AES-256-GCM ciphertext, base64url without padding."""


class Event(Model):
    """One thing that happened, without names of people and without values from images."""

    activity: Activity
    """What happened."""
    time: Moment
    """When it happened, by the clock of the process that saw it."""
    actor: Annotated[str, StringConstraints(min_length=1, max_length=320)]
    """Who did it: an opaque identity, or the name of the process itself."""
    grant: ObjectName | None = None
    """Name of the grant."""
    grant_uid: Annotated[ObjectUID | None, Field(alias="grantUID")] = None
    """UID of the grant."""
    workspace: Label | None = None
    """Name of the workspace."""
    pod_uid: Annotated[ObjectUID | None, Field(alias="podUID")] = None
    """UID of the pod."""
    node: ObjectName | None = None
    """Name of the node."""
    detail: Annotated[Mapping[DetailKey, DetailText | DetailNumber], Field(max_length=32)] = {}
    """Figures, digests and reasons; keys in camelCase, numbers exact in JSON."""
    sealed: Annotated[Mapping[DetailKey, Sealed] | None, Field(max_length=8)] = None
    """Names looked up, URLs and the like, which may carry what somebody tried to take out."""


@dataclass(frozen=True)
class Receipt:
    """Where a record stands in its chain."""

    sequence: int
    """Number of the record, from 1, without holes."""
    digest: str
    """`sha256:` and 64 hexadecimal digits over the record and everything before it."""


class Ledger(Protocol):
    """The one way in which every process records."""

    async def append(self, event: Event, *, record_class: RecordClass) -> Receipt:
        """Record `event`; when this returns is what `record_class` says.

        Raises:
            LedgerUnavailableError: for `before` and `with`, when the record is not durable
                in time. The act must then not happen.
            RecordTooLargeError: when the record would be larger than 65,000 bytes.

        """
        ...
