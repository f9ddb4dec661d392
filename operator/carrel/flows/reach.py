"""Under which policy a workspace or a grant stands, read from the cluster."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from carrel.cluster import Cluster, KindRef, Ref
from carrel.kinds import AccessGrant, EgressPolicy, Workspace
from carrel.kinds.resource import Kind
from carrel.kinds.workspace import Admission
from carrel.rules import POD_NAME, digest, is_true
from carrel.rules.egress import EgressRules, egress_rules

_K = TypeVar("_K", bound=Kind)


class ReachError(Exception):
    """The question cannot be answered; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Who asks, and what is open to it."""

    asker: str
    """The workspace or grant, in words."""
    own_name: str
    """Host name of the workspace; empty where a grant asks."""
    rules: EgressRules
    """The policy as it is in force; closed where it is missing or not what was approved."""
    notes: tuple[str, ...]
    """What else bears on the answer, in sentences."""


async def standing_of_workspace(cluster: Cluster, name: str) -> Standing:
    """Return where a workspace stands; `name` is its name, or `namespace/name`.

    Raises
    ------
    ReachError
        If there is no such workspace, or several.
    ClusterError
        If the API server refuses or does not answer.
    """
    namespace, _, short = name.rpartition("/")
    found = [
        obj
        for obj in await cluster.list(KindRef.of(Workspace), namespace=namespace or None)
        if obj["metadata"]["name"] == short
    ]
    if not found:
        raise ReachError(
            f"There is no Workspace {name!r}. `kubectl get workspaces -A` shows all; to ask of a "
            "grant, use --grant."
        )
    if len(found) > 1:
        places = ", ".join(sorted(obj["metadata"]["namespace"] for obj in found))
        raise ReachError(f"Workspaces {short!r} are in {places}. Write NAMESPACE/{short}.")
    workspace = _parsed(Workspace, found[0])
    menu = workspace.spec.egress_policy
    rules, notes = await _rules(cluster, menu.name, approved=menu.digest)
    if workspace.spec.admission is not Admission.OPEN:
        notes = (*notes, "The workspace is closed, so nothing runs that could try.")
    return Standing(
        asker=f"workspace {short} of grant {workspace.spec.grant.name}",
        own_name=POD_NAME,
        rules=rules,
        notes=notes,
    )


async def standing_of_grant(cluster: Cluster, name: str) -> Standing:
    """Return where the workspaces of a grant stand; errors as for a workspace."""
    found = await cluster.get(Ref(KindRef.of(AccessGrant), name))
    if found is None:
        raise ReachError(f"There is no AccessGrant {name!r}. `carrel grant list` shows all.")
    grant = _parsed(AccessGrant, found)
    rules, notes = await _rules(cluster, grant.spec.egress_policy, approved=None)
    if not is_true(grant.status.conditions, "InForce"):
        notes = (
            *notes,
            f"The grant is not in force: `carrel grant explain {name}` says why.",
        )
    return Standing(asker=f"grant {name}", own_name="", rules=rules, notes=notes)


async def _rules(
    cluster: Cluster, name: str, *, approved: str | None
) -> tuple[EgressRules, tuple[str, ...]]:
    found = await cluster.get(Ref(KindRef.of(EgressPolicy), name))
    if found is None:
        return egress_rules(name, None), (f"There is no EgressPolicy {name!r}.",)
    try:
        policy = EgressPolicy.model_validate(found)
    except ValidationError:
        # A part of a policy that this program cannot read might be the part that forbids.
        return egress_rules(name, None), (f"EgressPolicy {name!r} cannot be read here.",)
    if approved is not None and digest(policy.spec) != approved:
        note = (
            f"EgressPolicy {name!r} is not the one that was approved: it was deleted and made "
            "again. Restore it, or approve the grant again."
        )
        return egress_rules(name, None), (note,)
    return egress_rules(name, policy.spec), ()


def _parsed(kind: type[_K], obj: dict[str, object]) -> _K:
    try:
        return kind.model_validate(obj)
    except ValidationError as error:
        raise ReachError(
            f"The {kind.resource.kind} cannot be read: the kinds of the cluster and this program "
            "differ; compare their versions."
        ) from error
