"""What the operator watches."""

from carrel.cluster.refs import (
    JOB,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    KindRef,
)
from carrel.flows.store import OWN
from carrel.render.labels import MANAGED_BY, OURS

MADE = (
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)
"""Built-in kinds that the operator makes; watched by its label only."""

CLUSTER_WIDE: tuple[KindRef, ...] = (*OWN, *MADE, NETWORK_POLICY, NODE)
"""What Kopf watches. NetworkPolicies are watched all: one that is not ours in a workspace's
namespace would open what ours closes."""

WATCHED: tuple[KindRef, ...] = (*CLUSTER_WIDE, JOB)
"""Everything that is watched; Jobs in the platform's namespace by a watch of our own."""

OUR_LABEL = f"{MANAGED_BY}={OURS}"
