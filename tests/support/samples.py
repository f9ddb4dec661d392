"""One grant of one dataset for two people, approved, and what is around it.

Every function returns the sample with changes given as keyword arguments in wire names.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from carrel.kinds import (
    AccessGrant,
    Approval,
    Dataset,
    EgressPolicy,
    NodeReport,
    Workspace,
    WorkspaceClass,
)
from carrel.kinds.approval import ApprovedScope
from carrel.rules import (
    HomeProvision,
    ObservedGrant,
    ObservedWorkspace,
    PolicyEnforcement,
    PolicyPresence,
    ReadyNode,
    SiteFacts,
    approved_scope,
    digest_of,
    scope_text,
)
from carrel.rules.policy_proof import PolicyProof, Standing

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
UID = "8c9d0000-0000-4000-8000-000000000001"
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
SITE = SiteFacts(
    user_prefix="oidc:",
    network_policy=PolicyEnforcement.ENFORCED,
    homes=HomeProvision.NODE_IMAGE,
)


def grant_spec(**changes: Any) -> dict[str, Any]:
    """Return the specification of a grant in wire form."""
    return {
        "requester": "oidc:requester",
        "researchers": [{"subject": "ada"}, {"subject": "grace"}],
        "project": "lungs",
        "purpose": {"statement": "Find nodules.", "codes": ["DUO:0000007"]},
        "datasets": [{"name": "chest-ct", "version": 1}],
        "notBefore": "2026-11-01T00:00:00Z",
        "expires": "2026-12-01T00:00:00Z",
        "workspaceClass": "small",
        "egressPolicy": "nothing",
        "locks": "Both",
        "mode": "InteractiveAndBatch",
        "batch": {"cpu": 8, "memoryGiB": 32, "gpu": 1},
        "home": {"retention": "Keep", "keepDays": 30},
        "state": "Active",
    } | changes


def grant(
    *, metadata: dict[str, Any] | None = None, status: Any = None, **spec: Any
) -> AccessGrant:
    """Return a grant."""
    about = {"name": "lungs", "uid": UID, "generation": 1} | (metadata or {})
    made = {"metadata": about, "spec": grant_spec(**spec)}
    return AccessGrant.model_validate(made | ({"status": status} if status else {}))


def dataset(*, ready: str = "True", **spec: Any) -> Dataset:
    """Return a dataset that demands DUO:0000007 and one approval."""
    whole = {
        "name": "chest-ct",
        "version": 1,
        "title": "Chest CT",
        "source": "A hospital",
        "digest": DIGEST,
        "manifestDigest": DIGEST,
        "signature": "A" * 86 + "==",
        "counts": {"subjects": 1, "studies": 1, "series": 1, "instances": 9, "bytes": 9},
        "use": ["DUO:0000007"],
        "approvals": 1,
        "ingest": "chest-ct",
    } | spec
    condition = {"type": "Ready", "status": ready, "reason": "SignatureChecked", "message": ""}
    return Dataset.model_validate(
        {
            "metadata": {"name": f"{whole['name']}.v{whole['version']}"},
            "spec": whole,
            "status": {"conditions": [condition]},
        }
    )


def workspace_class(*, name: str = "small", **spec: Any) -> WorkspaceClass:
    """Return a workspace class."""
    whole = {
        "title": "Small",
        "image": f"example.com/workspace@{DIGEST}",
        "cpuMillis": 2000,
        "memoryMiB": 4096,
        "scratchMiB": 1024,
        "sharedMemoryMiB": 256,
        "homeMiB": 2048,
    } | spec
    return WorkspaceClass.model_validate({"metadata": {"name": name}, "spec": whole})


def egress_policy(*, name: str = "nothing", **spec: Any) -> EgressPolicy:
    """Return an egress policy."""
    whole = {"title": "Nothing", "allow": "Nothing"} | spec
    return EgressPolicy.model_validate({"metadata": {"name": name}, "spec": whole})


def scope(of: AccessGrant | None = None) -> ApprovedScope:
    """Return the scope of a grant beside the sample dataset and menus."""
    return approved_scope(
        of or grant(),
        datasets={"chest-ct.v1": dataset()},
        workspace_class=workspace_class(),
        egress_policy=egress_policy(),
    )


def approval(
    text: str | None = None,
    *,
    approver: str = "oidc:approver",
    name: str = "yes",
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> Approval:
    """Return an approval of a scope, by default of the sample grant's."""
    text = scope_text(scope()) if text is None else text
    whole = {
        "grant": "lungs",
        "grantUID": UID,
        "approver": approver,
        "scope": text,
        "scopeDigest": digest_of(text),
        "evidence": {"type": "KubernetesUser"},
    } | spec
    about = {"name": name, "creationTimestamp": "2026-10-30T00:00:00Z"} | (metadata or {})
    return Approval.model_validate({"metadata": about, "spec": whole})


def observed_grant(**changes: Any) -> ObservedGrant:
    """Return the sample grant, approved, with all that it names."""
    whole: dict[str, Any] = {
        "grant": grant(),
        "datasets": {"chest-ct.v1": dataset()},
        "workspace_class": workspace_class(),
        "egress_policy": egress_policy(),
        "approvals": (approval(),),
        "workspaces": (),
        "nodes": (ReadyNode(name="node-a", workspaces=0),),
        "site": SITE,
        "now": NOW,
    }
    return ObservedGrant(**(whole | changes))


def workspace(
    *, metadata: dict[str, Any] | None = None, status: Any = None, **spec: Any
) -> Workspace:
    """Return an Open workspace that should run on node-a."""
    whole = {
        "grant": {"name": "lungs", "uid": UID},
        "researcher": "ada",
        "desired": "Running",
        "selfCheck": "None",
        "admission": "Open",
        "expires": "2026-12-01T00:00:00Z",
        "workspaceClass": {"name": "small", "digest": DIGEST},
        "egressPolicy": {"name": "nothing", "digest": DIGEST},
        "locks": "Both",
        "datasets": [
            {"name": "chest-ct", "version": 1, "digest": DIGEST, "manifestDigest": DIGEST}
        ],
        "viewDigest": DIGEST,
        "home": {"name": "ws-lungs", "sizeMiB": 2048},
        "nodes": ["node-a"],
    } | spec
    about = {"name": "ws-lungs", "namespace": "ws-lungs", "uid": "w-1", "generation": 1}
    made = {"metadata": about | (metadata or {}), "spec": whole}
    return Workspace.model_validate(made | ({"status": status} if status else {}))


def condition(kind: str, status: str = "True", reason: str = "Said") -> dict[str, Any]:
    """Return a condition in wire form."""
    return {"type": kind, "status": status, "reason": reason, "message": f"{kind} is {status}."}


def report(*conditions: dict[str, Any], node: str = "node-a", **status: Any) -> NodeReport:
    """Return what a node says of the sample workspace."""
    return NodeReport.model_validate(
        {
            "metadata": {"name": f"{node}.ws-lungs"},
            "spec": {
                "node": node,
                "namespace": "ws-lungs",
                "workspace": "ws-lungs",
                "workspaceUID": "w-1",
            },
            "status": {"conditions": list(conditions)} | status,
        }
    )


def prepared(**status: Any) -> NodeReport:
    """Return the report of a node that holds view and home."""
    said = {"viewDigest": DIGEST} | status
    return report(condition("ViewReady"), condition("HomeReady"), **said)


PROVEN = PolicyProof(Standing.PROVEN, NOW - timedelta(minutes=4), NOW + timedelta(minutes=21))


def observed_workspace(**changes: Any) -> ObservedWorkspace:
    """Return the sample workspace on a prepared node, without a pod."""
    whole: dict[str, Any] = {
        "workspace": workspace(),
        "reports": (prepared(),),
        "pod": None,
        "policy": PolicyPresence.AS_RENDERED,
        "policy_proof": PROVEN,
        "known_nodes": frozenset({"node-a", "node-b"}),
        "site": SITE,
        "now": NOW,
    }
    return ObservedWorkspace(**(whole | changes))
