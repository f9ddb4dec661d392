"""What a person needs to approve a grant: its scope as it is now, and a way to say yes."""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from carrel.cluster import JSON, Cluster, KindRef, Ref
from carrel.cluster.errors import Conflict
from carrel.kinds import AccessGrant, Approval, Dataset, EgressPolicy, WorkspaceClass
from carrel.kinds.approval import ApprovalSpec, ApprovedScope, Evidence, EvidenceType
from carrel.kinds.resource import Kind, Metadata
from carrel.rules import approval_name, approved_scope, digest_of, scope_text

_K = TypeVar("_K", bound=Kind)


class ApprovalError(Exception):
    """An approval cannot be made; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class AskedScope:
    """What a grant asks for now."""

    grant: AccessGrant
    """The grant."""
    scope: ApprovedScope
    """Its present scope."""
    text: str
    """The scope in canonical JSON."""
    digest: str
    """SHA-256 of `text`."""


async def read_grant(cluster: Cluster, name: str) -> AccessGrant:
    """Return the grant; ApprovalError where there is none or it cannot be read."""
    found = await _read(cluster, AccessGrant, name)
    if found is None:
        raise ApprovalError(
            f"There is no AccessGrant {name!r} in this cluster. `carrel grant list` shows all."
        )
    return found


async def read_grants(cluster: Cluster) -> tuple[AccessGrant, ...]:
    """Return every readable grant, sorted by name."""
    grants = [_parsed(AccessGrant, item) for item in await cluster.list(KindRef.of(AccessGrant))]
    return tuple(sorted(grants, key=lambda grant: grant.metadata.name))


async def read_approvals(cluster: Cluster, grant: AccessGrant) -> tuple[Approval, ...]:
    """Return the approvals that name the grant."""
    objects = await cluster.list(KindRef.of(Approval))
    return tuple(
        _parsed(Approval, item)
        for item in objects
        if item.get("spec", {}).get("grant") == grant.metadata.name
    )


async def read_scope(cluster: Cluster, name: str) -> AskedScope:
    """Return what a grant asks for now; ApprovalError while something it names is missing."""
    grant = await read_grant(cluster, name)
    spec = grant.spec
    names = sorted({item.object_name for item in spec.datasets})
    datasets = await asyncio.gather(*(_read(cluster, Dataset, each) for each in names))
    found = {each: item for each, item in zip(names, datasets, strict=True) if item is not None}
    workspace_class = await _read(cluster, WorkspaceClass, spec.workspace_class)
    egress_policy = await _read(cluster, EgressPolicy, spec.egress_policy)
    missing = [f"Dataset {each}" for each in names if each not in found]
    if workspace_class is None:
        missing.append(f"WorkspaceClass {spec.workspace_class}")
    if egress_policy is None:
        missing.append(f"EgressPolicy {spec.egress_policy}")
    if missing or workspace_class is None or egress_policy is None:
        raise ApprovalError(
            f"AccessGrant {name!r} names what does not exist: {', '.join(missing)}. Nobody can "
            "approve it until it does; correct the grant or create what is missing."
        )
    scope = approved_scope(
        grant, datasets=found, workspace_class=workspace_class, egress_policy=egress_policy
    )
    text = scope_text(scope)
    return AskedScope(grant=grant, scope=scope, text=text, digest=digest_of(text))


def refusal(asked: AskedScope, *, approver: str) -> str | None:
    """Return why this person's approval could not count, None where nothing speaks against it."""
    if approver == asked.scope.requester:
        return f"{approver!r} asked for this grant. Somebody else must approve it."
    sub = approver.partition(":")[2] or approver
    if sub in asked.scope.researchers:
        return f"{approver!r} would work under this grant. Somebody else must approve it."
    return None


async def approve(cluster: Cluster, asked: AskedScope, *, approver: str) -> Approval:
    """Store this person's yes to exactly `asked`; saying it again changes nothing.

    The grant is not read again: should it have changed since it was shown, the approval
    is still for what was shown, and the grant is in force only as far as it stays within it.
    """
    approval = Approval(
        metadata=Metadata(
            name=approval_name(
                grant_name=asked.grant.metadata.name,
                approver=approver,
                scope_digest=asked.digest,
            )
        ),
        spec=ApprovalSpec(
            grant=asked.grant.metadata.name,
            grant_uid=asked.grant.uid,
            approver=approver,
            scope=asked.text,
            scope_digest=asked.digest,
            evidence=Evidence(type=EvidenceType.KUBERNETES_USER),
        ),
    )
    try:
        await cluster.create(_wire(approval))
    except Conflict:
        stored = await _read(cluster, Approval, approval.metadata.name)
        if stored is None or stored.spec != approval.spec:
            raise ApprovalError(
                f"There is another Approval named {approval.metadata.name!r}; delete it first."
            ) from None
    return approval


def _wire(approval: Approval) -> JSON:
    spec = approval.spec.to_wire()
    return {
        "apiVersion": approval.api_version,
        "kind": approval.kind,
        "metadata": {"name": approval.metadata.name},
        "spec": spec,
    }


async def _read(cluster: Cluster, kind: type[_K], name: str) -> _K | None:
    found = await cluster.get(Ref(KindRef.of(kind), name))
    return None if found is None else _parsed(kind, found)


def _parsed(kind: type[_K], obj: JSON) -> _K:
    try:
        return kind.model_validate(obj)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApprovalError(
            f"{kind.resource.kind} {obj.get('metadata', {}).get('name')!r} cannot be read: "
            f"{where}: {first['msg']}. The kinds of the cluster and this program differ; compare "
            "their versions."
        ) from error
