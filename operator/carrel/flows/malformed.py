"""What is said of an object that cannot be read; it never ends a process."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from carrel.cluster.refs import JSON
from carrel.kinds.resource import Condition, Conditions, ConditionStatus
from carrel.rules import condition, settle

_PRESENT = TypeAdapter[tuple[Condition, ...]](Conditions)


def malformed_status(
    stored: JSON, error: ValidationError, *, types: Iterable[str], now: datetime
) -> JSON:
    """Return the status of an object that does not fit its kind: every condition False.

    The message names the first field at fault and never repeats its value.
    """
    generation = stored["metadata"].get("generation", 0)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = f"The field {where} cannot be read ({first['msg']}): mend it, or delete the object."
    conditions = settle(
        (
            condition(kind, ConditionStatus.FALSE, "Malformed", message, generation=generation)
            for kind in types
        ),
        present=_present(stored.get("status", {})),
        now=now,
    )
    return {
        "conditions": [each.to_wire() for each in conditions],
        "observedGeneration": generation,
    }


def _present(status: Mapping[str, object]) -> tuple[Condition, ...]:
    try:
        return _PRESENT.validate_python(status.get("conditions", ()))
    except ValidationError:
        return ()
