"""One approved grant with one workspace, and what a test does with it."""

from datetime import UTC, datetime

from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import (
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    ref_of,
)
from carrel.flows.store import GRANTS, WORKSPACES
from carrel.rules import workspace_name
from support import examples

MADE = (
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)
WITHIN = 60.0
"""An upper bound for a machine that compiles at the same time, not a promise."""


class Desk:
    """One grant with one workspace, and what a test does with it."""

    def __init__(self, cluster: Cluster, grant: JSON) -> None:
        self.cluster = cluster
        self.grant = Ref(GRANTS, grant["metadata"]["name"])
        self.name = workspace_name(
            grant_name=grant["metadata"]["name"],
            grant_uid=grant["metadata"]["uid"],
            subject=examples.RESEARCHER,
        )
        self.workspace = Ref(WORKSPACES, self.name, self.name)
        self.pod = Ref(POD, "desk", self.name)

    async def pod_there(self) -> JSON | None:
        """Return the pod once it is there and not going."""
        pod = await self.cluster.get(self.pod)
        return pod if pod and "deletionTimestamp" not in pod["metadata"] else None

    async def ungated(self) -> JSON | None:
        """Return the pod once its gate is open."""
        pod = await self.pod_there()
        return pod if pod and not pod["spec"].get("schedulingGates") else None

    async def gone(self) -> bool | None:
        """Return True once there is no pod."""
        return True if await self.cluster.get(self.pod) is None else None

    async def reported(self, *, pod_uid: str | None = None, **truths: bool) -> None:
        """Play the node agent."""
        workspace = await self.cluster.get(self.workspace)
        assert workspace is not None
        report = examples.node_report(workspace, pod_uid=pod_uid, **truths)
        await self.cluster.apply(report, manager="carrel-node-node-1")

    async def everything(self) -> dict[str, str]:
        """Return the resourceVersion of everything that was made for this grant."""
        kinds = (*MADE, WORKSPACES)
        found = [
            obj for kind in kinds for obj in await self.cluster.list(kind, namespace=self.name)
        ]
        label = f"carrel.dev/workspace={self.name}"
        found += await self.cluster.list(PERSISTENT_VOLUME, labels=label)
        for ref in (self.grant, Ref(NAMESPACE, self.name)):
            obj = await self.cluster.get(ref)
            found += [obj] if obj else []
        return {str(ref_of(obj)): obj["metadata"]["resourceVersion"] for obj in found}


async def approved(cluster: Cluster, name: str, **spec: object) -> Desk:
    """Apply a grant and its approval."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the server has its own clock
    grant = await cluster.create(examples.grant(name, now=now, **spec))
    await cluster.create(examples.approval(grant))
    return Desk(cluster, grant)
