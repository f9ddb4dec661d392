"""The Workspace objects that a grant wants to exist."""

from datetime import datetime

from carrel.kinds import Workspace
from carrel.kinds.approval import ApprovedScope
from carrel.kinds.workspace import (
    Admission,
    Desired,
    GrantReference,
    Home,
    SelfCheck,
    ViewedDataset,
    WorkspaceSpec,
)
from carrel.rules.canonical import digest
from carrel.rules.facts import START_ANNOTATION
from carrel.rules.names import home_name, workspace_name
from carrel.rules.observed_grant import DesiredWorkspace, ObservedGrant
from carrel.rules.placement import place
from carrel.rules.scope import effective_recorder_loss


def open_workspaces(observed: ObservedGrant, scope: ApprovedScope) -> tuple[DesiredWorkspace, ...]:
    """Return one Open workspace per researcher, and Closed ones of people no longer named.

    Everything is taken from the scope that was compared with the approvals, not from the
    grant, so that nothing reaches a workspace that was not compared.
    """
    existing = {item.metadata.name: item for item in observed.workspaces}
    names = {subject: _name(observed, subject) for subject in scope.researchers}
    placed = place(
        (
            (name, existing[name].spec.nodes if name in existing else ())
            for name in sorted(names.values())
        ),
        ready=observed.nodes,
        homes=observed.site.homes,
    )
    wanted = [
        DesiredWorkspace(
            name=name,
            spec=_open_spec(
                observed,
                scope,
                subject=subject,
                nodes=placed[name],
                present=existing.get(name),
            ),
        )
        for subject, name in names.items()
    ]
    leavers = [
        _closed(item, deleted_after=None)
        for name, item in existing.items()
        if name not in set(names.values())
    ]
    # Researchers first: status lists the first fifty only.
    return tuple(wanted) + tuple(sorted(leavers, key=lambda item: item.name))


def closed_workspaces(
    observed: ObservedGrant, *, deleted_after: datetime | None
) -> tuple[DesiredWorkspace, ...]:
    """Return the workspaces that exist, Closed; none is made for a grant not in force."""
    closed = [_closed(item, deleted_after=deleted_after) for item in observed.workspaces]
    return tuple(sorted(closed, key=lambda item: item.name))


def _closed(workspace: Workspace, *, deleted_after: datetime | None) -> DesiredWorkspace:
    home = workspace.spec.home.model_copy(update={"deleted_after": deleted_after})
    spec = workspace.spec.model_copy(update={"admission": Admission.CLOSED, "home": home})
    return DesiredWorkspace(name=workspace.metadata.name, spec=spec)


def _open_spec(
    observed: ObservedGrant,
    scope: ApprovedScope,
    *,
    subject: str,
    nodes: tuple[str, ...],
    present: Workspace | None,
) -> WorkspaceSpec:
    views = tuple(
        ViewedDataset(
            name=item.name,
            version=item.version,
            selection=item.selection,
            digest=item.digest,
            manifest_digest=observed.datasets[item.object_name].spec.manifest_digest,
        )
        for item in scope.datasets
    )
    return WorkspaceSpec(
        grant=GrantReference(name=observed.grant.metadata.name, uid=observed.grant.uid),
        researcher=subject,
        desired=present.spec.desired if present else _first_desired(observed),
        self_check=present.spec.self_check if present else SelfCheck.NONE,
        admission=Admission.OPEN,
        expires=scope.expires,
        workspace_class=scope.workspace_class,
        egress_policy=scope.egress_policy,
        locks=scope.locks,
        on_recorder_loss=effective_recorder_loss(scope),
        datasets=views,
        view_digest=digest([view.to_wire() for view in views]),
        home=Home(name=home_name(_name(observed, subject)), size_mib=_home_mib(observed, present)),
        nodes=nodes,
    )


def _first_desired(observed: ObservedGrant) -> Desired:
    asked = observed.grant.metadata.annotations.get(START_ANNOTATION)
    return Desired.RUNNING if asked == Desired.RUNNING else Desired.STOPPED


def _home_mib(observed: ObservedGrant, present: Workspace | None) -> int:
    # A file system that holds files is never shrunk; a smaller class keeps the larger home.
    asked = observed.workspace_class.spec.home_mib if observed.workspace_class else 64
    return max(asked, present.spec.home.size_mib) if present else asked


def _name(observed: ObservedGrant, subject: str) -> str:
    grant = observed.grant
    return workspace_name(grant_name=grant.metadata.name, grant_uid=grant.uid, subject=subject)
