"""When a grant ended for good, and when its homes are deleted."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from carrel.kinds import AccessGrant
from carrel.kinds.grant import GrantState, HomePolicy
from carrel.rules.scope import effective_end, effective_home


def ended_at(grant: AccessGrant, *, now: datetime) -> datetime | None:
    """Return when the grant ended for good: deleted, expired or revoked; None otherwise.

    A suspended grant, or one that lost its approval, has not ended: its homes are kept.
    A revocation has no time of its own in the object; the time it was first seen is
    remembered in status, and should that be lost, homes live longer, never shorter.
    """
    ends = []
    if grant.metadata.deletion_timestamp is not None:
        ends.append(grant.metadata.deletion_timestamp)
    if now >= effective_end(grant.spec.expires):
        ends.append(effective_end(grant.spec.expires))
    if grant.spec.state is GrantState.REVOKED:
        ends.append(grant.status.ended_at or now.replace(microsecond=0))
    return min(ends, default=None)


def homes_deleted_after(
    policy: HomePolicy, *, approved: Iterable[HomePolicy], ended: datetime | None
) -> datetime | None:
    """Return when homes are deleted; None while the grant has not ended.

    A policy that keeps homes longer than any approval allowed is not in force, neither
    before the end nor after it: the longest approved time holds. Without any approval the
    stated policy holds, because then nobody ever worked.
    """
    if ended is None:
        return None
    asked = effective_home(policy).keep_days
    allowed = max((effective_home(home).keep_days for home in approved), default=asked)
    return ended + timedelta(days=min(asked, allowed))
