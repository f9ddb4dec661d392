"""Numbers that user code can choose, made coarse before they are told to the cluster."""

MOST = 9_900_000
"""No larger number is told."""

_DIGITS = 2


def coarse(number: int) -> int:
    """Return a number to two significant digits, at most `MOST`; it is not negative.

    Whoever makes the lock refuse n packets on purpose, or writes n into a check's result, tells
    whoever may read a report one of about 650 values and not one of billions. Below 100 the
    number is exact, so that a first refused packet shows.
    """
    step: int = 10 ** max(len(str(number)) - _DIGITS, 0)
    return min((number + step // 2) // step * step, MOST)
