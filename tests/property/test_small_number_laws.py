"""Laws of published tables: whoever knows the rules still cannot tell a small number."""

from collections import Counter
from collections.abc import Iterator
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.small_numbers import at_least, spread

SMALLEST = 5
TABLES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 23), max_size=6)


@given(TABLES)
def test_no_told_number_is_small_or_exceeds_the_truth(table: dict[str, int]) -> None:
    for share in spread("trait", table, smallest=SMALLEST).shares:
        assert SMALLEST <= share.subjects <= table[share.value] < share.subjects + SMALLEST


@given(TABLES)
def test_a_small_value_is_not_even_named(table: dict[str, int]) -> None:
    named = {share.value for share in spread("trait", table, smallest=SMALLEST).shares}
    assert named == {value for value, number in table.items() if number >= SMALLEST}


@given(TABLES, st.sampled_from("abcdef"))
def test_one_subject_more_shows_only_when_a_whole_group_is_full(
    table: dict[str, int], value: str
) -> None:
    more = {**table, value: table.get(value, 0) + 1}
    before, after = (spread("trait", each, smallest=SMALLEST) for each in (table, more))
    if more[value] % SMALLEST and table.get(value, 0):
        assert before == after


def _tables(total: int, *, values: str) -> Iterator[dict[str, int]]:
    for numbers in product(range(total + 1), repeat=len(values)):
        if sum(numbers) == total:
            yield dict(zip(values, numbers, strict=True))


def test_the_total_never_betrays_a_withheld_value() -> None:
    """Every table of four values: each withheld one could also be another one or another number."""
    for total in range(SMALLEST, 14):
        told: dict[str, list[dict[str, int]]] = {}
        for table in _tables(total, values="abcd"):
            told.setdefault(spread("t", table, smallest=SMALLEST).model_dump_json(), []).append(
                table
            )
        for same in told.values():
            for value in "abcd":
                numbers = Counter(table[value] for table in same)
                withheld = {number for number in numbers if 0 < number < SMALLEST}
                assert not withheld or len(numbers) > 1


@given(st.integers(0, 10**9), st.integers(5, 1000))
def test_at_least_is_at_least(number: int, smallest: int) -> None:
    assert (
        at_least(number, smallest=smallest)
        <= number
        < at_least(number, smallest=smallest) + smallest
    )
    assert at_least(number, smallest=smallest) % smallest == 0
