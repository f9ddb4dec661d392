"""What a Job of a canary says, read as the API server stores it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from carrel.flows.policy_canary import is_canary, read_canary
from carrel.rules.policy_proof import CanaryArm, CanaryEnd, CanaryRun

AT = "2026-03-09T09:00:07Z"
MOMENT = datetime(2026, 3, 9, 9, 0, 7, tzinfo=UTC)


def job(component: str | None, *conditions: dict[str, str]) -> dict[str, Any]:
    labels = {} if component is None else {"app.kubernetes.io/component": component}
    listed = [{"status": "True", "lastTransitionTime": AT, **each} for each in conditions]
    return {"metadata": {"name": "one", "labels": labels}, "status": {"conditions": listed}}


COMPLETE = {"type": "Complete", "reason": "CompletionsReached"}
OUT = {"type": "Failed", "reason": "PodFailurePolicy"}
BROKEN = {"type": "Failed", "reason": "BackoffLimitExceeded"}
SUCCESS = {"type": "SuccessCriteriaMet", "reason": "CompletionsReached"}


@pytest.mark.parametrize(
    ("read", "found"),
    [
        pytest.param(
            job("canary", SUCCESS, COMPLETE),
            (CanaryRun(CanaryArm.DENIED, CanaryEnd.STOPPED, MOMENT),),
            id="stopped",
        ),
        pytest.param(
            job("canary", OUT),
            (CanaryRun(CanaryArm.DENIED, CanaryEnd.THROUGH, MOMENT),),
            id="got through",
        ),
        pytest.param(job("canary", BROKEN), (), id="broken for another reason"),
        pytest.param(job("canary"), (), id="still running"),
        pytest.param(
            job("canary", COMPLETE | {"status": "False"}), (), id="a condition that does not hold"
        ),
        pytest.param(
            job("canary-control", COMPLETE),
            (CanaryRun(CanaryArm.CONTROL, CanaryEnd.THROUGH, MOMENT),),
            id="the control got through",
        ),
        pytest.param(job("canary-control", BROKEN), (), id="the control met a shut door"),
        pytest.param(job("canary-control", OUT), (), id="the control has no such end"),
        pytest.param(job("ingest", COMPLETE), (), id="another job"),
        pytest.param(job(None, COMPLETE), (), id="nobody's job"),
        pytest.param({}, (), id="gone meanwhile"),
    ],
)
def test_a_job_says(read: dict[str, Any], found: tuple[CanaryRun, ...]) -> None:
    assert tuple(read_canary(read)) == found


def test_only_the_two_components_are_canaries() -> None:
    named = ("canary", "canary-control", "ingest", None)
    assert [is_canary(job(each)) for each in named] == [True, True, False, False]
