"""How far a workspace is on its way to being open, in steps that a person waits for."""

from dataclasses import dataclass
from enum import StrEnum

from carrel.kinds.resource import ConditionStatus
from carrel.rules.condition import find
from carrel.rules.front_door import Refused
from carrel.rules.front_door_access import Seen, is_end, way_to


class Stage(StrEnum):
    """What a page about a workspace should do."""

    OPEN = "Open"
    """Show it."""
    WAITING = "Waiting"
    """Show the steps; it goes on by itself."""
    STOPPED = "Stopped"
    """Nobody asked it to run."""
    ENDED = "Ended"
    """Show why not."""


class StepState(StrEnum):
    """Where a step is."""

    DONE = "Done"
    NOW = "Now"
    LATER = "Later"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that must have happened."""

    title: str
    """What."""
    state: StepState
    """Done, Now or Later."""
    sentence: str = ""
    """What its condition says, for the step that is waited for."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is shown to the person who waits."""

    stage: Stage
    """What the page does."""
    sentence: str
    """Where it is, or why not."""
    todo: str = ""
    """What the person can do."""
    steps: tuple[Step, ...] = ()
    """All steps in their order; none once it has ended."""


def progress_of(seen: Seen) -> Progress:
    """Return how far the workspace is for this person."""
    answer = way_to(seen)
    if not isinstance(answer, Refused):
        return Progress(stage=Stage.OPEN, sentence="Ready.", steps=_steps(seen, opened=True))
    if is_end(answer):
        return Progress(stage=Stage.ENDED, sentence=answer.sentence, todo=answer.todo)
    stage = Stage.STOPPED if answer.rule == "workspace_is_stopped" else Stage.WAITING
    return Progress(
        stage=stage,
        sentence=answer.sentence,
        todo=answer.todo,
        steps=_steps(seen, opened=False) if stage is Stage.WAITING else (),
    )


def _steps(seen: Seen, *, opened: bool) -> tuple[Step, ...]:
    if seen.workspace is None:
        return ()
    count = len(seen.workspace.spec.datasets)
    data = "dataset" if count == 1 else "datasets"
    titles = {
        f"Mount {count} {data}": "ViewReady",
        "Prepare your files": "HomeReady",
        "Start the notebook": "Started",
        "Lock the network": "Locked",
        "Wait for its answer": "Ready",
        "Let the front door in": "",
    }
    steps: list[Step] = []
    for title, kind in titles.items():
        found = find(seen.workspace.status.conditions, kind) if kind else None
        done = opened or (found is not None and found.status is ConditionStatus.TRUE)
        waits = not any(each.state is StepState.NOW for each in steps)
        state = StepState.DONE if done else StepState.NOW if waits else StepState.LATER
        said = found.message if found is not None and state is StepState.NOW else ""
        steps.append(Step(title=title, state=state, sentence=said))
    return tuple(steps)
