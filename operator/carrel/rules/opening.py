"""How far a workspace is on its way to Ready, in the words that its researcher reads."""

from dataclasses import dataclass

from carrel.kinds import Workspace
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import Admission, Desired
from carrel.rules.condition import find

__all__ = ["Failed", "Opening", "Ready", "server_name", "way_of"]

_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Opening:
    """It is on its way."""

    percent: int
    """Of the steps, not of the time: 0 to 99."""
    sentence: str
    """What it waits for."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """It answers."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It will not come; nothing is gained by waiting."""

    reason: str
    """One word, as conditions have it."""
    sentence: str
    """Why, and what to do."""


def server_name(workspace: Workspace) -> str:
    """Return the name of a workspace as a server of its researcher: at most 30 characters.

    It is `ws-` and the digits that decide the workspace's own name.
    """
    return f"ws-{workspace.metadata.name[-_DIGITS:]}"


def way_of(workspace: Workspace) -> Opening | Ready | Failed:
    """Tell how far a workspace is that somebody asked to run."""
    spec = workspace.spec
    if spec.admission is Admission.CLOSED:
        return Failed(
            reason="GrantNotInForce",
            sentence=f"The grant {spec.grant.name} is not in force. Ask its administrator, who "
            f"finds the reason with `carrel grant explain {spec.grant.name}`.",
        )
    if workspace.metadata.deletion_timestamp is not None:
        return Failed(reason="Deleted", sentence="The workspace is being deleted. Open it again.")
    if spec.desired is Desired.STOPPED:
        return Failed(reason="Stopped", sentence="The workspace was stopped. Open it again.")
    present = {step: _present(workspace, step) for step, _ in _STEPS}
    done = sum(_holds(condition) for condition in present.values())
    ready = _present(workspace, "Ready")
    if _holds(ready):
        return Ready()
    for step, doing in _STEPS:
        if not _holds(present[step]):
            sentence = doing.format(count=_count(len(spec.datasets)))
            return Opening(
                percent=_percent(done), sentence=sentence + _detail(present[step] or ready)
            )
    return Opening(percent=_percent(done), sentence="Starting the notebook." + _detail(ready))


_STEPS = (
    ("ViewReady", "Mounting {count}."),
    ("HomeReady", "Preparing your files."),
    ("PolicyEnforced", "Closing the network from outside."),
    ("Started", "Waiting for a place to run."),
    ("Locked", "Locking the network from inside."),
)


def _present(workspace: Workspace, kind: str) -> Condition | None:
    """Return a condition that speaks of the present specification."""
    found = find(workspace.status.conditions, kind)
    if found is None or found.observed_generation < (workspace.metadata.generation or 0):
        return None
    return found


def _holds(condition: Condition | None) -> bool:
    if condition is None:
        return False
    # A cluster that enforces no NetworkPolicy keeps nobody waiting: such grants do not ask for it.
    return condition.status is ConditionStatus.TRUE or condition.reason == "NotEnforcedHere"


def _detail(condition: Condition | None) -> str:
    return f" {condition.message}" if condition is not None and condition.message else ""


def _count(datasets: int) -> str:
    return "1 dataset" if datasets == 1 else f"{datasets} datasets"


def _percent(done: int) -> int:
    return done * 99 // (len(_STEPS) + 1)
