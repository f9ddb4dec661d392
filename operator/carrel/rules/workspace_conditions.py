"""The conditions of a workspace: all of them, always, each with what to do next."""

from carrel.kinds import NodeReport
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import Admission, Desired, SelfCheck
from carrel.rules.condition import condition, find, is_true
from carrel.rules.facts import HomeProvision, PolicyEnforcement
from carrel.rules.observed_workspace import ObservedWorkspace, PolicyPresence
from carrel.rules.pod import PodStage
from carrel.rules.policy_proof import Standing
from carrel.rules.quiet import unproven_nodes

_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
_Said = tuple[ConditionStatus, str, str]
_AGENT = "Look at the node agent: `kubectl -n carrel-system get pods -o wide`."

_CANARIES = "Look at the canaries: `kubectl -n carrel-system get jobs`."


def workspace_conditions(
    observed: ObservedWorkspace, *, acknowledged: tuple[str, ...]
) -> tuple[Condition, ...]:
    """Return every condition of the workspace, without times."""
    locked = _locked(observed)
    said: dict[str, _Said] = {
        "ViewReady": _view_ready(observed),
        "HomeReady": _home_ready(observed),
        "PolicyEnforced": _policy_enforced(observed),
        "Locked": locked,
        "EgressRecorded": _egress_recorded(observed),
        "Started": _started(observed, acknowledged=acknowledged),
        "Ready": _ready(observed, locked=locked, acknowledged=acknowledged),
        "SelfChecked": _self_checked(observed),
        "Stopped": _stopped(observed),
    }
    generation = observed.workspace.metadata.generation or 0
    return tuple(condition(kind, *what, generation=generation) for kind, what in said.items())


def report_on_pod(observed: ObservedWorkspace) -> NodeReport | None:
    """Return the report of the pod's own node that speaks of this very pod."""
    pod = observed.pod
    if pod is None:
        return None
    matching = (
        report
        for report in observed.reports
        if report.spec.node == pod.node and report.status.pod_uid == pod.uid
    )
    return next(matching, None)


def _view_ready(observed: ObservedWorkspace) -> _Said:
    spec = observed.workspace.spec
    if spec.admission is Admission.CLOSED:
        return _FALSE, "GrantNotInForce", "Views are for grants in force."
    # A node whose present view is an older one may still tell why the new one failed.
    current = tuple(
        report
        for report in observed.reports
        if report.status.view_digest == spec.view_digest
        or not is_true(report.status.conditions, "ViewReady")
    )
    return _of_nodes(observed, "ViewReady", current, what="the dataset view")


def _home_ready(observed: ObservedWorkspace) -> _Said:
    if observed.site.homes is HomeProvision.STORAGE_CLASS:
        return _TRUE, "StorageClass", "The home is a claim of the site's StorageClass."
    return _of_nodes(observed, "HomeReady", observed.reports, what="the home")


def _of_nodes(
    observed: ObservedWorkspace, kind: str, reports: tuple[NodeReport, ...], *, what: str
) -> _Said:
    asked = observed.workspace.spec.nodes
    if not asked:
        return (
            _FALSE,
            "NoNode",
            "No node can hold views now: none carries the label carrel.dev/views=ready. " + _AGENT,
        )
    gone = sorted(set(asked) - observed.known_nodes)
    if len(gone) == len(asked):
        return (
            _FALSE,
            "NodeGone",
            (
                f"Node {gone[0]} no longer exists; {what} was there. Bring the node back, or "
                "revoke the grant and make a new one."
            ),
        )
    answers = {
        report.spec.node: answer
        for report in reports
        if report.spec.node in asked and (answer := find(report.status.conditions, kind))
    }
    done = sorted(node for node, answer in answers.items() if answer.status is _TRUE)
    if done:
        return _TRUE, "Acknowledged", f"In place on {', '.join(done[:4])}."
    failed = sorted(node for node, answer in answers.items() if answer.status is _FALSE)
    if failed:
        answer = answers[failed[0]]
        return _FALSE, answer.reason, f"{failed[0]}: {answer.message}"
    return _UNKNOWN, "NotReported", f"{', '.join(asked[:4])} did not speak of {what} yet. {_AGENT}"


def _policy_enforced(observed: ObservedWorkspace) -> _Said:
    if observed.policy is PolicyPresence.MISSING:
        return _FALSE, "PolicyMissing", "The deny-all NetworkPolicy is not in place."
    if observed.site.network_policy is PolicyEnforcement.NOT_ENFORCED:
        return (
            _FALSE,
            "NotEnforcedHere",
            "This cluster does not enforce NetworkPolicy: the lock in the pod stands alone.",
        )
    proof = observed.policy_proof
    at = f"{proof.at:%Y-%m-%dT%H:%MZ}" if proof.at is not None else "never"
    if proof.standing is Standing.CONTRADICTED:
        return (
            _FALSE,
            "CanaryGotThrough",
            (
                f"A canary pod under a deny-all NetworkPolicy got through at {at}: the cluster "
                f"does not enforce it, and the lock in the pod stands alone. {_CANARIES}"
            ),
        )
    if proof.standing is Standing.UNPROVEN:
        return (
            _UNKNOWN,
            "NotProven",
            (
                "A NetworkPolicy denies everything both ways, but no canary pod proved of late "
                f"that the cluster enforces it (the last one ended: {at}). {_CANARIES}"
            ),
        )
    return (
        _TRUE,
        "DenyAll",
        f"A NetworkPolicy denies everything both ways; canary pods proved it at {at}.",
    )


def _locked(observed: ObservedWorkspace) -> _Said:
    if observed.pod is None:
        return _FALSE, "NoPod", "There is no pod to lock."
    report = report_on_pod(observed)
    if report is None:
        return _UNKNOWN, "NotReported", f"No node spoke of this pod's lock yet. {_AGENT}"
    loaded = find(report.status.conditions, "LockLoaded")
    proven = find(report.status.conditions, "GateProven")
    for answer in (loaded, proven):
        if answer is None or answer.status is _UNKNOWN:
            return _UNKNOWN, "NotProven", f"{report.spec.node} has not proven the lock yet."
        if answer.status is _FALSE:
            return _FALSE, answer.reason, f"{report.spec.node}: {answer.message}"
    return _TRUE, "Proven", f"{report.spec.node} loaded the lock and proved it from inside."


def _egress_recorded(observed: ObservedWorkspace) -> _Said:
    if observed.pod is None:
        return _UNKNOWN, "NoPod", "There is no pod whose attempts could be recorded."
    report = report_on_pod(observed)
    answer = find(report.status.conditions, "EgressRecorded") if report else None
    if report is None or answer is None:
        return _UNKNOWN, "NotReported", f"No node spoke of this pod's records yet. {_AGENT}"
    return answer.status, answer.reason, f"{report.spec.node}: {answer.message}"


def _started(  # noqa: PLR0911 - one return per stage reads as the table it is
    observed: ObservedWorkspace, *, acknowledged: tuple[str, ...]
) -> _Said:
    pod = observed.pod
    if pod is None:
        return _not_there(observed)
    obstacle = f" {pod.obstacle}." if pod.obstacle else ""
    match pod.stage:
        case PodStage.GATED if acknowledged:
            return _FALSE, "PolicyMissing", "The pod waits for the deny-all NetworkPolicy."
        case PodStage.GATED:
            return _FALSE, "WaitsForNode", "The pod waits for a node to hold view and home."
        case PodStage.WAITING:
            return _FALSE, "NotScheduled", f"No node has taken the pod yet.{obstacle}"
        case PodStage.STARTING:
            return _FALSE, "Starting", f"{pod.node} starts the pod.{obstacle}"
        case PodStage.FINISHED:
            return _FALSE, "Ended", f"The pod ended and is made again if it should run.{obstacle}"
        case PodStage.RUNNING | PodStage.READY:
            return _TRUE, "Started", f"The workspace runs on {pod.node}."


def _not_there(observed: ObservedWorkspace) -> _Said:
    unwanted = _unwanted(observed)
    if unwanted:
        return unwanted
    return _FALSE, "NoPod", "The pod is about to be made."


def _unwanted(observed: ObservedWorkspace) -> _Said | None:
    workspace = observed.workspace
    if workspace.spec.admission is Admission.CLOSED:
        return (
            _FALSE,
            "GrantNotInForce",
            f"See `carrel grant explain {workspace.spec.grant.name}`.",
        )
    if observed.now >= workspace.spec.expires:
        return _FALSE, "Expired", "The grant's end has come."
    if workspace.metadata.deletion_timestamp is not None:
        return _FALSE, "Deleted", "The Workspace is being deleted."
    if workspace.spec.desired is Desired.STOPPED:
        return _FALSE, "Stopped", "Nobody asks it to run: spec.desired is Stopped."
    return None


def _ready(observed: ObservedWorkspace, *, locked: _Said, acknowledged: tuple[str, ...]) -> _Said:
    unwanted = _unwanted(observed)
    if unwanted:
        return unwanted
    started = _started(observed, acknowledged=acknowledged)
    pod = observed.pod
    if pod is None or started[0] is not _TRUE:
        return started
    if pod.deletion_asked is not None:
        return _FALSE, "Stopping", "The pod is being deleted and will be made again."
    if locked[0] is not _TRUE:
        return _FALSE, "NotLocked", locked[2]
    if pod.stage is not PodStage.READY:
        return _FALSE, "NotAnswering", "The notebook server does not answer yet."
    return _TRUE, "Ready", "The notebook server answers and the network is locked."


def _self_checked(observed: ObservedWorkspace) -> _Said:
    if observed.workspace.spec.self_check is SelfCheck.NONE:
        return _UNKNOWN, "NotAsked", "No check is asked for: spec.selfCheck is None."
    report = report_on_pod(observed)
    answer = find(report.status.conditions, "SelfChecked") if report else None
    if answer is None:
        return _UNKNOWN, "NotReported", "The check has not reported yet."
    return answer.status, answer.reason, answer.message


def _stopped(observed: ObservedWorkspace) -> _Said:
    if observed.pod is not None:
        return _FALSE, "PodExists", "There is a pod."
    waiting = unproven_nodes(observed)
    if waiting:
        return (
            _UNKNOWN,
            "NotProven",
            (
                f"The pod is gone, but {', '.join(waiting[:4])} did not record yet that its "
                f"cgroup is empty. {_AGENT}"
            ),
        )
    if any(report.status.pod_uid for report in observed.reports):
        return _TRUE, "CgroupEmpty", "Nothing runs: the node recorded that the cgroup is empty."
    return _TRUE, "NeverRan", "Nothing runs: no node ever reported a pod."
