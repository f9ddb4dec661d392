"""How the slices of a series stand to each other. Pure; lengths in millimetres."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_COSINE = 1e-3
"""Cosines that differ by less are the same orientation: scanners write four to six digits."""
_SAME = 1e-3
_UNEVEN = 0.01
_GAP = 1.5

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Stack:
    """What the positions of one orientation tell."""

    repeated: int
    """Images at a position that another one has already."""
    missing: int
    """Slices that would fill the gaps."""
    uneven: int
    """Distances that differ from the usual one by more than 1 %, and are no gap."""


def stack(positions: Iterable[Vector], *, orientation: Vector) -> Stack:
    """Look at the positions of images with one orientation (PS3.3 C.7.6.2.1.1)."""
    normal = _normal(orientation)
    depths = sorted(_dot(position, normal) for position in positions)
    steps = [second - first for first, second in pairwise(depths)]
    apart = [step for step in steps if step > _SAME]
    repeated = len(steps) - len(apart)
    if len(apart) < 2:
        return Stack(repeated=repeated, missing=0, uneven=0)
    usual = median(apart)
    gaps = [step for step in apart if step > _GAP * usual]
    uneven = [step for step in apart
              if abs(step - usual) > _UNEVEN * usual and step <= _GAP * usual]  # fmt: skip
    missing = sum(round(step / usual) - 1 for step in gaps)
    return Stack(repeated=repeated, missing=missing, uneven=len(uneven))


def same(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether two orientations or spacings are the same but for rounding."""
    return len(first) == len(second) and all(
        abs(one - other) <= _COSINE for one, other in zip(first, second, strict=True)
    )


def _normal(orientation: Vector) -> Vector:
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    return (b * f - c * e, c * d - a * f, a * e - b * d)


def _dot(first: Vector, second: Vector) -> float:
    return sum(one * other for one, other in zip(first, second, strict=True))
