"""Numbers of user code carry few bits out of a workspace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.coarse import MOST, coarse


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, 0),
        (1, 1),
        (99, 99),
        (100, 100),
        (512, 510),
        (995, 1_000),
        (1_249, 1_200),
        (2**31 - 1, MOST),
    ],
)
def test_a_number_is_told_to_two_digits(number: int, told: int) -> None:
    assert coarse(number) == told


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_more_is_never_told_as_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert coarse(low) <= coarse(high)


def test_few_values_can_be_told() -> None:
    numbers = {digits * 10**power for digits in range(1000) for power in range(8)}
    assert len({coarse(number) for number in numbers}) < 650
