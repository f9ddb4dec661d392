"""Two canaries prove a policy together, and neither proves anything alone or for long."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.policy_proof import (
    FRESH,
    UNPROVEN,
    CanaryArm,
    CanaryEnd,
    CanaryRun,
    PolicyProof,
    Standing,
    policy_proof,
)

NOW = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def denied(minutes: float, *, end: CanaryEnd = CanaryEnd.STOPPED) -> CanaryRun:
    return CanaryRun(CanaryArm.DENIED, end, ago(minutes))


def control(minutes: float) -> CanaryRun:
    return CanaryRun(CanaryArm.CONTROL, CanaryEnd.THROUGH, ago(minutes))


THROUGH = CanaryEnd.THROUGH


@pytest.mark.parametrize(
    ("runs", "standing", "at"),
    [
        pytest.param((), Standing.UNPROVEN, None, id="nobody flew"),
        pytest.param((denied(3), control(3)), Standing.PROVEN, ago(3), id="both as promised"),
        pytest.param((denied(3),), Standing.UNPROVEN, ago(3), id="no control"),
        pytest.param((control(3),), Standing.UNPROVEN, None, id="control alone"),
        pytest.param((denied(3), control(20)), Standing.UNPROVEN, ago(3), id="control of before"),
        pytest.param((denied(26), control(26)), Standing.UNPROVEN, ago(26), id="too old"),
        pytest.param(
            (denied(3, end=THROUGH), control(3)), Standing.CONTRADICTED, ago(3), id="it got out"
        ),
        pytest.param(
            (denied(3, end=THROUGH),), Standing.CONTRADICTED, ago(3), id="out, without a control"
        ),
        pytest.param(
            (denied(13, end=THROUGH), denied(3), control(3)),
            Standing.PROVEN,
            ago(3),
            id="held again since",
        ),
        pytest.param(
            (denied(13), control(13), denied(3, end=THROUGH)),
            Standing.CONTRADICTED,
            ago(3),
            id="held before",
        ),
    ],
)
def test_what_the_canaries_say(
    runs: tuple[CanaryRun, ...], standing: Standing, at: datetime | None
) -> None:
    found = policy_proof(runs, now=NOW)
    assert (found.standing, found.at) == (standing, at)


def test_a_proof_says_until_when_it_counts() -> None:
    found = policy_proof((denied(3), control(3)), now=NOW)
    assert found == PolicyProof(Standing.PROVEN, ago(3), ago(3) + FRESH)
    assert policy_proof((denied(3), control(3)), now=ago(3) + FRESH).standing is Standing.UNPROVEN


RUNS = st.lists(
    st.builds(
        CanaryRun,
        st.sampled_from(CanaryArm),
        st.sampled_from(CanaryEnd),
        st.integers(0, 60).map(ago),
    ),
    max_size=6,
).map(tuple)


@given(RUNS, RUNS)
def test_nothing_is_proven_without_a_fresh_pair(
    runs: tuple[CanaryRun, ...], more: tuple[CanaryRun, ...]
) -> None:
    found = policy_proof(runs + more, now=NOW)
    fresh = [run for run in runs + more if NOW - run.at < FRESH]
    if found.standing is Standing.PROVEN:
        assert {CanaryArm.DENIED, CanaryArm.CONTROL} <= {run.arm for run in fresh}
    if not any(run.arm is CanaryArm.DENIED for run in runs + more):
        assert found == UNPROVEN
