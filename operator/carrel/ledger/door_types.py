"""Record types of the front door."""

from collections.abc import Mapping

from carrel.ledger.event import Activity, RecordClass
from carrel.ledger.record_type import OTHER, OcsfClass, Outcome, RecordType, Severity

_STOP, _BEFORE, _AFTER = RecordClass.STOP, RecordClass.BEFORE, RecordClass.AFTER
_WITH = RecordClass.WITH
_APP, _ACCESS = OcsfClass.APPLICATION_LIFECYCLE, OcsfClass.USER_ACCESS_MANAGEMENT
_HTTP = OcsfClass.HTTP_ACTIVITY
_NO = Outcome.FAILURE

DOOR_TYPES: Mapping[Activity, RecordType] = {
    Activity.LOGIN_ADMITTED: RecordType(
        "A person logged in.", _BEFORE, _ACCESS, OTHER, fields=("session", "acr")
    ),
    Activity.LOGIN_REFUSED: RecordType(
        "A login was refused.",
        _WITH,
        _ACCESS,
        OTHER,
        severity=Severity.LOW,
        outcome=_NO,
        fields=("rule", "count"),
    ),
    Activity.LOGIN_ENDED: RecordType(
        "A login ended.", _STOP, _ACCESS, OTHER, fields=("reason", "session")
    ),
    Activity.DOOR_OPENED: RecordType(
        "A person opened a workspace.", _BEFORE, _APP, 3, fields=("session",)
    ),
    Activity.DOOR_SERVED: RecordType(
        "A person's requests to a workspace were answered.",
        _WITH,
        _HTTP,
        OTHER,
        fields=("method", "template", "count", "up", "down", "status", "first", "session"),
    ),
    Activity.DOOR_REFUSED: RecordType(
        "Requests at the front door were refused.",
        _WITH,
        _HTTP,
        OTHER,
        severity=Severity.LOW,
        outcome=_NO,
        fields=("rule", "method", "template", "count", "first", "session"),
    ),
    Activity.DOOR_SOCKET_OPENED: RecordType(
        "A person's page opened a socket to a workspace.",
        _WITH,
        _HTTP,
        OTHER,
        fields=("template", "session"),
    ),
    Activity.DOOR_SOCKET_CLOSED: RecordType(
        "A socket between a person's page and a workspace ended.",
        _STOP,
        _HTTP,
        OTHER,
        fields=("template", "reason", "up", "down", "milliseconds", "session"),
    ),
    Activity.DOOR_CUT: RecordType(
        "Everything that a person had open of a workspace was cut.",
        _STOP,
        _ACCESS,
        2,
        fields=("reason", "decided", "lastByte", "sockets", "requests"),
    ),
    Activity.DOOR_BUDGET_WARNED: RecordType(
        "A person used most of a day's bytes of a workspace.",
        _AFTER,
        _APP,
        OTHER,
        severity=Severity.LOW,
        fields=("day", "spent", "limit"),
    ),
    Activity.DOOR_BUDGET_SPENT: RecordType(
        "A person used up a day's bytes of a workspace.",
        _STOP,
        _APP,
        OTHER,
        severity=Severity.MEDIUM,
        fields=("day", "spent", "limit"),
    ),
}
"""By activity."""
