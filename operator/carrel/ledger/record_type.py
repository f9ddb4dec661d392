"""One kind of record: what it says, when it is durable, what OCSF calls it."""

from dataclasses import dataclass
from enum import IntEnum

from carrel.ledger.event import RecordClass


class OcsfClass(IntEnum):
    """Event classes of OCSF 1.8 that the platform uses (schema.ocsf.io)."""

    USER_ACCESS_MANAGEMENT = 3005
    NETWORK_ACTIVITY = 4001
    HTTP_ACTIVITY = 4002
    DNS_ACTIVITY = 4003
    APPLICATION_LIFECYCLE = 6002
    API_ACTIVITY = 6003
    DATASTORE_ACTIVITY = 6005

    @property
    def category(self) -> int:
        """OCSF category, the first digit of the class."""
        return self.value // 1000


class Severity(IntEnum):
    """OCSF `severity_id`."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class Outcome(IntEnum):
    """OCSF `status_id`."""

    SUCCESS = 1
    FAILURE = 2


OTHER = 99
"""OCSF `activity_id` of what the class has no word for."""


@dataclass(frozen=True)
class RecordType:
    """One kind of record."""

    sentence: str
    """What happened, for people."""
    record_class: RecordClass
    """How act and record wait for each other."""
    ocsf_class: OcsfClass
    ocsf_activity: int
    severity: Severity = Severity.INFORMATIONAL
    outcome: Outcome = Outcome.SUCCESS
    fields: tuple[str, ...] = ()
    """Keys of `detail` that this kind may carry, most telling first."""

    @property
    def type_uid(self) -> int:
        """OCSF `type_uid`."""
        return self.ocsf_class * 100 + self.ocsf_activity
