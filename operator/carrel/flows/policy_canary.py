"""The ends of canary pods, read from the Jobs that ran them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from carrel.cluster.refs import JOB
from carrel.flows.surroundings import Surroundings
from carrel.rules.policy_proof import CanaryArm, CanaryEnd, CanaryRun, PolicyProof, policy_proof

COMPONENT = "app.kubernetes.io/component"
ARMS: Mapping[str, CanaryArm] = {
    "canary": CanaryArm.DENIED,
    "canary-control": CanaryArm.CONTROL,
}
"""Component label of a Job -> its arm."""
_GOT_THROUGH = "PodFailurePolicy"
"""Reason of a Job whose pod ended with the exit code that the chart names for it."""


def proof_now(around: Surroundings) -> PolicyProof:
    """Return what the canaries that are known say at this moment."""
    jobs = (around.store.get(ref) or {} for ref in around.store.refs(JOB))
    runs = (run for job in jobs for run in read_canary(job))
    return policy_proof(runs, now=around.clock.now())


def is_canary(job: Mapping[str, Any]) -> bool:
    """Tell whether a Job runs a canary."""
    return (job["metadata"].get("labels") or {}).get(COMPONENT) in ARMS


def read_canary(job: Mapping[str, Any]) -> Iterator[CanaryRun]:
    """Yield what a Job's canary met; nothing for one that met nothing, or is no canary."""
    if not job or not is_canary(job):
        return
    arm = ARMS[job["metadata"]["labels"][COMPONENT]]
    passed = CanaryEnd.STOPPED if arm is CanaryArm.DENIED else CanaryEnd.THROUGH
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        at = datetime.fromisoformat(condition["lastTransitionTime"])
        if condition.get("type") == "Complete":
            yield CanaryRun(arm, passed, at)
        elif arm is CanaryArm.DENIED and condition.get("reason") == _GOT_THROUGH:
            # Any other failure, such as an image that is not to be had, says nothing.
            yield CanaryRun(arm, CanaryEnd.THROUGH, at)
