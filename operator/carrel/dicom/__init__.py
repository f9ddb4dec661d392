"""Reading DICOM files that strangers wrote: bounded, never raising, never telling a value."""

from carrel.dicom.element_rules import ElementPolicy
from carrel.dicom.file_rules import STRICT, GatePolicy
from carrel.dicom.instance import Accepted, Finding, Instance, Outcome, Refused, Rule
from carrel.dicom.reader import READER_LIMITS, Gate, ReaderLimits, read_instance

__all__ = [
    "READER_LIMITS",
    "STRICT",
    "Accepted",
    "ElementPolicy",
    "Finding",
    "Gate",
    "GatePolicy",
    "Instance",
    "Outcome",
    "ReaderLimits",
    "Refused",
    "Rule",
    "read_instance",
]
