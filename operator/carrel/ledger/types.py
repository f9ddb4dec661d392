"""The closed list of record types."""

from collections.abc import Mapping

from carrel.ledger.door_types import DOOR_TYPES
from carrel.ledger.event import Activity, RecordClass
from carrel.ledger.record_type import OTHER, OcsfClass, Outcome, RecordType, Severity

_STOP, _BEFORE, _AFTER = RecordClass.STOP, RecordClass.BEFORE, RecordClass.AFTER
_APP = OcsfClass.APPLICATION_LIFECYCLE
_API = OcsfClass.API_ACTIVITY
_DATA = OcsfClass.DATASTORE_ACTIVITY
_ACCESS = OcsfClass.USER_ACCESS_MANAGEMENT
_NET = OcsfClass.NETWORK_ACTIVITY
_NO = Outcome.FAILURE

TYPES: Mapping[Activity, RecordType] = {
    Activity.CHAIN_OPENED: RecordType(
        "A process began to record.", _STOP, _APP, 3, fields=("process", "chain")
    ),
    Activity.CHAIN_CLOSED: RecordType("A process ended in order.", _STOP, _APP, 4),
    Activity.HEARTBEAT: RecordType("A process was alive.", _AFTER, _APP, OTHER),
    Activity.GAP: RecordType(
        "A chain admits a loss or a delay.",
        _STOP,
        _APP,
        OTHER,
        severity=Severity.HIGH,
        outcome=_NO,
        fields=(
            "reason",
            "rule",
            "cause",
            "firstSequence",
            "lastSequence",
            "refused",
            "aside",
            "bytes",
            "sha256",
        ),
    ),
    Activity.APPROVAL_COUNTED: RecordType("An approval counts.", _BEFORE, _ACCESS, 1),
    Activity.APPROVAL_REFUSED: RecordType(
        "An approval does not count.", _BEFORE, _ACCESS, OTHER, outcome=_NO
    ),
    Activity.GRANT_ADMITTED: RecordType(
        "A grant took effect for a researcher.",
        _BEFORE,
        _ACCESS,
        1,
        fields=("researcher", "datasets", "scopeExpires", "viewDigest"),
    ),
    Activity.GRANT_REFUSED: RecordType(
        "A grant was not let into force.", _BEFORE, _ACCESS, OTHER, outcome=_NO
    ),
    Activity.GRANT_ENDED: RecordType("A grant ended.", _STOP, _ACCESS, 2),
    Activity.WORKSPACE_STARTED: RecordType(
        "A workspace was started.",
        _BEFORE,
        _APP,
        3,
        fields=("viewDigest", "classDigest", "policyDigest"),
    ),
    Activity.WORKSPACE_STOPPED: RecordType("A workspace was stopped.", _STOP, _APP, 4),
    Activity.WORKSPACE_CLOSED: RecordType(
        "A workspace was closed to its researcher.", _STOP, _ACCESS, 2, fields=("reason",)
    ),
    Activity.POD_DELETED: RecordType(
        "A workspace's pod was deleted.",
        _STOP,
        _APP,
        4,
        fields=("reason", "admission", "desired"),
    ),
    Activity.VOLUME_RELEASED: RecordType(
        "A volume was taken from a workspace.", _AFTER, _APP, 2, fields=("volume",)
    ),
    Activity.VIEW_BUILT: RecordType(
        "A view of the granted data was built.",
        _BEFORE,
        _DATA,
        6,
        fields=("viewDigest", "files", "bytes", "milliseconds"),
    ),
    Activity.VIEW_MOUNTED: RecordType("A view of the data was mounted.", _BEFORE, _DATA, 3),
    Activity.VIEW_REMOVED: RecordType("A view of the data was removed.", _BEFORE, _DATA, 7),
    Activity.HOME_MADE: RecordType(
        "A home was made.", _AFTER, _DATA, 6, fields=("home", "sizeMiB")
    ),
    Activity.HOME_MOUNTED: RecordType(
        "A home was mounted.", _AFTER, _DATA, 3, fields=("home", "sizeMiB")
    ),
    Activity.HOME_DELETED: RecordType(
        "A home was deleted.", _STOP, _DATA, 7, fields=("home", "sizeMiB")
    ),
    Activity.LOCK_LOADED: RecordType("The network lock was loaded.", _BEFORE, _APP, 3),
    Activity.LOCK_TAMPERED: RecordType(
        "The network lock was found altered and loaded again.",
        _STOP,
        _APP,
        OTHER,
        severity=Severity.CRITICAL,
        outcome=_NO,
    ),
    Activity.LOCK_CLOSED: RecordType(
        "The network lock was closed for good.", _STOP, _APP, OTHER, fields=("reason",)
    ),
    Activity.GATE_PROVEN: RecordType("The lock was proven before user code.", _BEFORE, _APP, 3),
    Activity.GATE_REFUSED: RecordType(
        "The lock was not proven; nothing started.",
        _BEFORE,
        _APP,
        OTHER,
        severity=Severity.HIGH,
        outcome=_NO,
    ),
    Activity.TRAFFIC_DENIED: RecordType(
        "A workspace tried to reach something and was refused.",
        _AFTER,
        _NET,
        5,
        severity=Severity.MEDIUM,
        outcome=_NO,
        fields=(
            *("layer", "direction", "protocol", "address", "port", "user", "type", "rule"),
            *("count", "flows", "first", "last", "group", "socket"),
        ),
    ),
    Activity.TRAFFIC_LOST: RecordType(
        "Refused packets or requests were counted and could not be told one by one.",
        _AFTER,
        _APP,
        OTHER,
        severity=Severity.LOW,
        outcome=_NO,
        fields=("layer", "count", "group", "socket", "reason"),
    ),
    Activity.COUNTS_RECONCILED: RecordType(
        "Records of refused packets were compared with the kernel's counters.",
        _AFTER,
        _APP,
        OTHER,
        fields=(
            *("outcome", "counted", "recorded", "lost", "base"),
            *("wireCounted", "wireRecorded", "wireLost", "wireBase"),
        ),
    ),
    Activity.COUNTS_RECOVERED: RecordType(
        "The kernel's own list said where packets went that were not told one by one.",
        _AFTER,
        _APP,
        OTHER,
        fields=("protocol", "address", "port", "count"),
    ),
    Activity.RECORDER_BOUND: RecordType(
        "The recorder took over the log of a workspace's network.",
        _BEFORE,
        _APP,
        3,
        fields=("researcher", "netns", "bootID", "socket", "policy", "policyDigest"),
    ),
    Activity.RECORDER_UNBOUND: RecordType(
        "The recorder let go of the log of a workspace's network.",
        _AFTER,
        _APP,
        4,
        fields=("socket",),
    ),
    Activity.RECORDER_FAILED: RecordType(
        "A workspace's refusals could not be recorded.",
        _STOP,
        _APP,
        OTHER,
        severity=Severity.HIGH,
        outcome=_NO,
        fields=("reason", "message", "order"),
    ),
    Activity.RECORDER_RETURNED: RecordType(
        "A workspace's refusals are recorded again, and compared with what was counted meanwhile.",
        _AFTER,
        _APP,
        OTHER,
        fields=("reason", "message", "order"),
    ),
    Activity.WORKSPACE_FROZEN: RecordType(
        "A workspace's processes were stopped where they stood.",
        _STOP,
        _APP,
        OTHER,
        severity=Severity.HIGH,
        fields=("reason",),
    ),
    Activity.CGROUP_EMPTIED: RecordType("Nothing of a workspace runs any more.", _STOP, _APP, 4),
    Activity.INGEST_SEALED: RecordType(
        "An upload was sealed.", _BEFORE, _DATA, 5, fields=("ingest", "digest")
    ),
    Activity.FILE_REFUSED: RecordType(
        "Files were refused at the gate.",
        _AFTER,
        _DATA,
        5,
        severity=Severity.LOW,
        outcome=_NO,
        fields=("ingest", "rule", "files"),
    ),
    Activity.DATASET_PUBLISHED: RecordType(
        "A dataset version was published.",
        _BEFORE,
        _DATA,
        6,
        fields=("ingest", "family", "digest", "manifestDigest", "instances"),
    ),
    Activity.STAGING_EMPTIED: RecordType(
        "An upload was deleted from staging.", _AFTER, _DATA, 7, fields=("ingestUID", "reason")
    ),
    **DOOR_TYPES,
    Activity.ADMINISTRATOR_ACTED: RecordType(
        "Somebody asked the API server to change what governs access.",
        _AFTER,
        _API,
        OTHER,
        fields=(
            "verb",
            "group",
            "resource",
            "name",
            "namespace",
            "code",
            "auditID",
            "auditLevel",
            "actingAs",
            "changed",
            "bodyDigest",
        ),
    ),
    Activity.POD_ENTERED: RecordType(
        "Somebody asked for a way into a pod.",
        _AFTER,
        _API,
        OTHER,
        severity=Severity.HIGH,
        fields=(
            "verb",
            "resource",
            "name",
            "namespace",
            "code",
            "auditID",
            "auditLevel",
            "actingAs",
        ),
    ),
    Activity.AUDIT_LOG_FORWARDED: RecordType(
        "The API server's audit log was read up to here.",
        _BEFORE,
        _API,
        2,
        fields=("records", "lines", "offset"),
    ),
    Activity.AUDIT_LOG_UNREADABLE: RecordType(
        "A part of the API server's audit log could not be read.",
        _AFTER,
        _API,
        OTHER,
        severity=Severity.HIGH,
        outcome=_NO,
        fields=("reason", "file", "offset", "bytes", "sha256"),
    ),
    Activity.RECORDS_READ: RecordType(
        "Somebody searched the records.", _BEFORE, _API, 2, fields=("query", "rows")
    ),
    Activity.SEALED_READ: RecordType(
        "Somebody read sealed fields in clear.",
        _BEFORE,
        _API,
        2,
        severity=Severity.MEDIUM,
        fields=("why", "project", "records", "firstLeaf", "lastLeaf"),
    ),
    Activity.KEY_DELETED: RecordType(
        "The key of a project's sealed fields was deleted.",
        _BEFORE,
        _API,
        4,
        severity=Severity.MEDIUM,
        fields=("project", "keyID", "why"),
    ),
}
"""Every type; a test holds that none is missing."""
