"""Limits whose mere comparison kills the process that looks at a file of thirteen bytes."""

import os
from dataclasses import replace

from typing_extensions import override

from carrel.dicom import READER_LIMITS, ReaderLimits

DEADLY_SIZE = 13


class _Deadly(int):
    @override
    def __lt__(self, other: int) -> bool:
        # `size > limit` asks the limit, because it is of a class derived from int.
        if other == DEADLY_SIZE:
            os._exit(9)
        return int(self) < int(other)

    @override
    def __reduce__(self) -> tuple[type["_Deadly"], tuple[int]]:
        return _Deadly, (int(self),)


def lethal_limits() -> ReaderLimits:
    """Return limits that kill a worker, as a fault in a decoder would."""
    return replace(READER_LIMITS, file_bytes=_Deadly(READER_LIMITS.file_bytes))
