"""What the agent knows of egress policies: their text, for whoever answers on loopback."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from carrel.kinds import EgressPolicy
from carrel.node.handover import Binding
from carrel.node.netns import NetworkNamespace
from carrel.node.recording import inode_of
from carrel.node.site import Site
from carrel.node.telling import moment
from carrel.node.watched import WatchedWorkspace
from carrel.rules.canonical import digest


@dataclass(frozen=True)
class Bound:
    """Whose a pod is, and what may be reached from it."""

    workspace: WatchedWorkspace
    policy: str
    """`spec` of the egress policy as JSON; empty while it is not the approved one."""

    def binding(self, pod_uid: str, namespace: NetworkNamespace, *, site: Site) -> Binding:
        """Return what is handed over with every socket of the pod."""
        workspace = self.workspace
        return Binding(
            pod_uid=pod_uid,
            node=site.node,
            boot_id=site.boot_id,
            netns=inode_of(namespace),
            namespace=workspace.identity.namespace,
            workspace=workspace.identity.name,
            workspace_uid=workspace.identity.uid,
            grant=workspace.grant,
            grant_uid=workspace.grant_uid,
            researcher=workspace.researcher,
            expires=moment(workspace.expires),
            egress_policy=workspace.egress_policy,
            egress_policy_digest=workspace.egress_policy_digest,
            egress_policy_spec=self.policy,
            on_recorder_loss=workspace.on_recorder_loss,
        )


class Policies:
    """The egress policies that exist, each with the digest of its content."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def hear(self, raw: dict[str, Any]) -> None:
        """Take in a policy; one that cannot be read allows nothing."""
        name = raw["metadata"]["name"]
        try:
            spec = EgressPolicy.model_validate(raw).spec
        except ValidationError:
            self._known.pop(name, None)
            return
        self._known[name] = (digest(spec), json.dumps(spec.to_wire()))

    def forget(self, name: str) -> None:
        """Drop a policy that is gone."""
        self._known.pop(name, None)

    def bound(self, workspace: WatchedWorkspace) -> Bound:
        """Return a workspace with its policy: the one of that name, if it is what was approved."""
        found, text = self._known.get(workspace.egress_policy, ("", ""))
        approved = found == workspace.egress_policy_digest
        return Bound(workspace, text if approved else "")
