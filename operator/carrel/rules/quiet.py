"""Whether it is proven that nothing of a workspace runs any more."""

from carrel.kinds import NodeReport
from carrel.rules.condition import is_true
from carrel.rules.observed_workspace import ObservedWorkspace


def unproven_nodes(observed: ObservedWorkspace) -> tuple[str, ...]:
    """Return the nodes whose word that the workspace's cgroup is empty is still missing.

    Asked are the node that status remembers for the last pod, and every node whose report
    speaks of a pod: a revoker may have deleted a pod between two looks of the operator. A node
    whose Node object was deleted is not waited for; with it would go every release.
    """
    waiting = {
        report.spec.node
        for report in observed.reports
        if report.status.pod_uid is not None and not _empty(report)
    }
    status = observed.workspace.status
    if status.node is not None and status.pod_uid is not None:
        told = any(
            report.spec.node == status.node
            and report.status.pod_uid == status.pod_uid
            and _empty(report)
            for report in observed.reports
        )
        waiting |= set() if told else {status.node}
    return tuple(sorted(waiting & observed.known_nodes))


def is_quiet(observed: ObservedWorkspace) -> bool:
    """Tell whether there is no pod and every node that may have run one says it is empty."""
    return observed.pod is None and not unproven_nodes(observed)


def _empty(report: NodeReport) -> bool:
    return is_true(report.status.conditions, "CgroupEmpty")
