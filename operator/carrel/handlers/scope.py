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

AUDITED = (
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)
"""Built-in kinds that the operator makes and that nothing waits for: held against a full list
once a period. Watching them too would cost a third of all events to tell what we just wrote."""

MADE = (NAMESPACE, POD, *AUDITED)
"""Built-in kinds that the operator makes; asked for by its label only."""

CLUSTER_WIDE: tuple[KindRef, ...] = (*OWN, NAMESPACE, POD, NETWORK_POLICY, NODE)
"""What Kopf watches. NetworkPolicies are watched all: one that is not ours in a workspace's
namespace would open what ours closes."""

KNOWN: tuple[KindRef, ...] = (*CLUSTER_WIDE, *AUDITED, JOB)
"""Everything that is remembered; Jobs come, in the platform's namespace, by a watch of our own."""

OUR_LABEL = f"{MANAGED_BY}={OURS}"
