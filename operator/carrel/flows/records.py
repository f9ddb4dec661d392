"""The records that the operator writes."""

from datetime import datetime

from carrel.flows.surroundings import MANAGER
from carrel.kinds.workspace import GrantReference
from carrel.ledger import Activity, Event


def workspace_event(
    activity: Activity,
    *,
    name: str,
    grant: GrantReference,
    now: datetime,
    pod_uid: str | None = None,
    **detail: str | int,
) -> Event:
    """Return a record about one workspace of one grant; details in camelCase."""
    return Event(
        activity=activity,
        time=now,
        actor=MANAGER,
        grant=grant.name,
        grant_uid=grant.uid,
        workspace=name,
        pod_uid=pod_uid,
        detail=detail,
    )
