"""No published table tells a number of people that is smaller than a group may be.

A value is told only where enough subjects share it, and only how many *at least*: rounded down
to a multiple of the smallest group. Values with fewer subjects are not even named, nor is said
how many such values there are. So the difference to the total, or between two tables of the
same subjects, is known no better than "fewer than a group".
"""

from collections.abc import Mapping

from carrel.rules.dataset_report import Share, Spread


def at_least(number: int, *, smallest: int) -> int:
    """Return the number rounded down to a multiple of the smallest group; 0 for fewer."""
    return number - number % smallest


def spread(trait: str, subjects_by_value: Mapping[str, int], *, smallest: int) -> Spread:
    """Return what may be told of how subjects spread over the values of a trait."""
    told = [
        Share(value=value, subjects=at_least(number, smallest=smallest))
        for value, number in subjects_by_value.items()
        if number >= smallest
    ]
    small = any(0 < number < smallest for number in subjects_by_value.values())
    return Spread(
        trait=trait,
        shares=tuple(sorted(told, key=lambda share: (-share.subjects, share.value))),
        withheld="Something" if small else "Nothing",
    )
