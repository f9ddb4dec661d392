"""Reading DICOM files that strangers wrote: bounded, never raising, never telling a value."""

from carrel.dicom.instance import Accepted, Instance, Outcome, Refused, Rule
from carrel.dicom.reader import READER_LIMITS, ReaderLimits, read_instance

__all__ = [
    "READER_LIMITS",
    "Accepted",
    "Instance",
    "Outcome",
    "ReaderLimits",
    "Refused",
    "Rule",
    "read_instance",
]
