"""Whether a person may use a workspace now: asked for every request and of every open socket.

Decided from what the gateway itself watched, by its own clock, so that neither a slow operator
nor an absent one keeps a door open. The first check that denies is the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from carrel.kinds import AccessGrant, NodeReport, Workspace
from carrel.kinds.grant import GrantState
from carrel.kinds.workspace import Admission, Desired
from carrel.rules.condition import find, is_true
from carrel.rules.front_door import Refused
from carrel.rules.scope import effective_end, effective_start


class Sight(StrEnum):
    """Whether what the gateway knows is recent."""

    FRESH = "Fresh"
    """Lists were read within the age that is allowed."""
    STALE = "Stale"
    """They were not: nobody knows what was revoked since."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the gateway knows of one workspace."""

    sight: Sight
    """Whether it is recent."""
    workspace: Workspace | None
    """The workspace, None where there is none of this name."""
    grant: AccessGrant | None
    """The grant with the UID that the workspace names."""
    report: NodeReport | None
    """What the pod's own node says of that very pod."""
    gateway: str
    """Address of the gateway's pod."""
    subject: str
    """Who asks."""
    now: datetime
    """When."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """The way to a workspace's server."""

    workspace: Workspace
    """The workspace."""
    pod_uid: str
    """UID of its pod."""
    address: str
    """Address of its pod."""
    certificate: str
    """The one certificate that its server may show, PEM."""


_Check = Callable[[Seen], Refused | None]


def sight_is_stale(seen: Seen) -> Refused | None:
    """What was revoked since the last look is not known, so nothing is let through."""
    if seen.sight is Sight.FRESH:
        return None
    return _refused(
        "The gateway does not hear the cluster, so it cannot know whether access was ended.",
        status=503,
        todo="Nothing is lost. Try again in a minute; if it lasts, tell the administrator.",
    )


def workspace_is_anothers(seen: Seen) -> Refused | None:
    """One answer for somebody else's workspace and for none: names are not for guessing."""
    if seen.workspace is not None and seen.workspace.spec.researcher == seen.subject:
        return None
    return _refused(
        "There is no workspace of yours with this name.",
        status=404,
        todo="Your workspaces are listed on the first page.",
    )


def grant_is_gone(seen: Seen) -> Refused | None:
    """A grant that is not there any more, or about to go, was revoked."""
    if seen.grant is not None and seen.grant.metadata.deletion_timestamp is None:
        return None
    return _ended("The grant was deleted, which ends it.")


def grant_is_revoked(seen: Seen) -> Refused | None:
    """Revoked is final."""
    if seen.grant is None or seen.grant.spec.state is not GrantState.REVOKED:
        return None
    return _ended("The grant was revoked.")


def grant_is_suspended(seen: Seen) -> Refused | None:
    """A suspended grant may become active again."""
    if seen.grant is None or seen.grant.spec.state is not GrantState.SUSPENDED:
        return None
    return _refused(
        "The grant is suspended. Files are kept.",
        todo="Ask the administrator of the grant why, and when it resumes.",
    )


def grant_has_not_begun(seen: Seen) -> Refused | None:
    """Nothing is shown before the grant's time."""
    if seen.grant is None or seen.now >= effective_start(seen.grant.spec.not_before):
        return None
    begins = seen.grant.spec.not_before.strftime("%Y-%m-%d %H:%M UTC")
    return _refused(f"The grant begins at {begins}.", todo="Come back then.")


def grant_is_over(seen: Seen) -> Refused | None:
    """The grant's end, by the gateway's own clock."""
    ends = [effective_end(seen.grant.spec.expires)] if seen.grant else []
    ends += [seen.workspace.spec.expires] if seen.workspace else []
    if not ends or seen.now < min(ends):
        return None
    return _ended(f"The grant ended at {min(ends).strftime('%Y-%m-%d %H:%M UTC')}.")


def person_is_not_named(seen: Seen) -> Refused | None:
    """A grant may be narrowed to fewer people at any time."""
    if seen.grant and any(each.subject == seen.subject for each in seen.grant.spec.researchers):
        return None
    return _ended("The grant does not name you any more.")


def grant_is_not_in_force(seen: Seen) -> Refused | None:
    """The operator knows of approvals and data what the grant alone does not say."""
    if seen.workspace is None or seen.workspace.spec.admission is Admission.OPEN:
        return None
    found = find(seen.grant.status.conditions, "InForce") if seen.grant else None
    return _refused(
        found.message if found else "The grant is not in force.",
        todo="Ask the administrator of the grant.",
    )


def workspace_is_being_deleted(seen: Seen) -> Refused | None:
    """What is about to go is not opened."""
    if seen.workspace is None or seen.workspace.metadata.deletion_timestamp is None:
        return None
    return _ended("The workspace is being deleted.")


def workspace_is_stopped(seen: Seen) -> Refused | None:
    """Nobody asked it to run."""
    if seen.workspace is None or seen.workspace.spec.desired is Desired.RUNNING:
        return None
    return _waiting("The workspace is stopped. Files are kept.", todo="Start it from your list.")


def workspace_is_not_ready(seen: Seen) -> Refused | None:
    """It starts, or it cannot; its condition says which."""
    if seen.workspace is None or is_true(seen.workspace.status.conditions, "Ready"):
        return None
    found = find(seen.workspace.status.conditions, "Ready")
    return _waiting(found.message if found else "The workspace has not begun to start.")


def node_says_nothing(seen: Seen) -> Refused | None:
    """Address and certificate come from the pod's own node, and from nobody else."""
    status = seen.report.status if seen.report else None
    if status is not None and status.server is not None:
        return None
    return _waiting("The workspace runs; its node has not told the certificate of its server yet.")


def lock_does_not_admit_us(seen: Seen) -> Refused | None:
    """Until the lock lists this gateway, packets of ours are refused and counted as an attempt."""
    if seen.report is not None and seen.gateway in seen.report.status.gateways:
        return None
    return _waiting("The workspace runs; its network lock is about to admit the gateway.")


SIGHT: tuple[_Check, ...] = (sight_is_stale,)
"""What is asked before anything is believed."""
RIGHTS: tuple[_Check, ...] = (
    workspace_is_anothers,
    grant_is_gone,
    grant_is_revoked,
    grant_is_suspended,
    grant_has_not_begun,
    grant_is_over,
    person_is_not_named,
    workspace_is_being_deleted,
    grant_is_not_in_force,
)
"""What a person may; a denial ends what is open."""
READINESS: tuple[_Check, ...] = (
    workspace_is_stopped,
    workspace_is_not_ready,
    node_says_nothing,
    lock_does_not_admit_us,
)
"""Whether there is something to open; a denial is a page that waits."""


def may_use(seen: Seen) -> Refused | None:
    """Tell why this person may not use this workspace now, None where they may."""
    return _first((*SIGHT, *RIGHTS), seen)


def may_look(seen: Seen) -> Refused | None:
    """As `may_use`, from old knowledge where there is no other: for lists and reasons alone."""
    return _first(RIGHTS, seen)


def way_to(seen: Seen) -> Way | Refused:
    """Return the way to the workspace's server, or why there is none."""
    refused = _first((*SIGHT, *RIGHTS, *READINESS), seen)
    if refused is not None:
        return refused
    status = seen.report.status if seen.report else None
    if seen.workspace is None or status is None or status.server is None or not status.pod_uid:
        return replace(_waiting("The workspace is not reported."), rule="node_says_nothing")
    return Way(
        workspace=seen.workspace,
        pod_uid=status.pod_uid,
        address=status.server.address,
        certificate=status.server.certificate,
    )


def is_end(refused: Refused) -> bool:
    """Tell whether a refusal ends what is open, rather than asking to wait."""
    return refused.rule in {each.__name__ for each in (*SIGHT, *RIGHTS)}


def _first(checks: tuple[_Check, ...], seen: Seen) -> Refused | None:
    for check in checks:
        refused = check(seen)
        if refused is not None:
            return replace(refused, rule=check.__name__)
    return None


def _refused(sentence: str, *, status: int = 403, todo: str = "") -> Refused:
    return Refused(rule="", status=status, sentence=sentence, todo=todo)


def _ended(sentence: str) -> Refused:
    return _refused(sentence, todo="If you still need the data, ask for a new grant.")


def _waiting(sentence: str, *, todo: str = "This page goes on by itself.") -> Refused:
    return _refused(sentence, status=503, todo=todo)
