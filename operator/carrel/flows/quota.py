"""Having a quota counted anew.

The admission of a quota counts a creation before it is stored. A creation whose client died in
between stays counted, and the quota's controller counts anew only every five minutes, or when
something is deleted: for so long a killed operator would find the workspace full.
"""

import logging

from carrel.cluster.refs import (
    JSON,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    KindRef,
    Ref,
)
from carrel.flows.surroundings import MANAGER, Surroundings
from carrel.render.namespace import QUOTA

_log = logging.getLogger(__name__)

_COUNTED: dict[str, KindRef] = {"pods": POD, "persistentvolumeclaims": PERSISTENT_VOLUME_CLAIM}

_TURNED = "count/replicasets.apps"
"""Comes and goes in the quota's specification: its controller counts when that changes."""


async def count_anew(namespace: str, around: Surroundings) -> bool:
    """Have a workspace's quota counted if it counts what is not there; tell whether it did."""
    ref = Ref(RESOURCE_QUOTA, QUOTA, namespace)
    quota = await around.cluster.get(ref)
    if quota is None or not await _counts_too_much(quota, around):
        return False
    _log.info("%s counts what is not there; it is counted anew", ref)
    turn = None if _TURNED in quota["spec"]["hard"] else "0"
    patch = {
        "metadata": {"uid": quota["metadata"]["uid"]},
        "spec": {"hard": {_TURNED: turn}},
    }
    around.learn(await around.cluster.patch(ref, patch, manager=MANAGER))
    return True


async def _counts_too_much(quota: JSON, around: Surroundings) -> bool:
    used = quota.get("status", {}).get("used", {})
    for what, kind in _COUNTED.items():
        there = await around.cluster.list(kind, namespace=quota["metadata"]["namespace"])
        if int(used.get(what, "0")) > len(there):
            return True
    return False
