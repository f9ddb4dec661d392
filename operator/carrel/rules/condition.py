"""Conditions: making one, finding one, and keeping the time of the last change."""

from collections.abc import Iterable
from datetime import datetime

from carrel.kinds.resource import Condition, ConditionStatus

_LONGEST_MESSAGE = 1024


def condition(
    kind: str, status: ConditionStatus, reason: str, message: str, *, generation: int = 0
) -> Condition:
    """Make a condition without a time; a message that is too long is cut with an ellipsis."""
    cut = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
    return Condition(
        type=kind, status=status, reason=reason, message=cut, observed_generation=generation
    )


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of one type, or None."""
    return next((item for item in conditions if item.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Tell whether a condition of this type is present and True."""
    found = find(conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE


def settle(
    desired: Iterable[Condition], *, present: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    """Give each desired condition its time: kept while the status is unchanged, else `now`.

    The time is the only thing taken over from what stood there before, so that a second
    pass over an unchanged world yields an equal value and hence no write.
    """
    before = {item.type: item for item in present}
    return tuple(
        item.model_copy(update={"last_transition_time": _since(item, before, now)})
        for item in desired
    )


def _since(item: Condition, before: dict[str, Condition], now: datetime) -> datetime:
    earlier = before.get(item.type)
    if earlier is None or earlier.status is not item.status:
        return now.replace(microsecond=0)
    return earlier.last_transition_time or now.replace(microsecond=0)
