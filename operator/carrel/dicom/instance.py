"""What is known of a file after one look: an instance, or the rule that refuses it."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The checks of a file; each refuses what its name says."""

    FILE_IS_EMPTY = "file_is_empty"
    """The file has no bytes."""
    FILE_IS_TOO_LARGE = "file_is_too_large"
    """The file is larger than this platform takes."""
    FILE_IS_NOT_DICOM = "file_is_not_dicom"
    """There is no DICM mark at byte 128, or no file meta information after it."""
    FILE_IS_A_DIRECTORY_RECORD = "file_is_a_directory_record"
    """A DICOMDIR lists other files and names patients; the dataset has its own manifest."""
    TRANSFER_SYNTAX_IS_NOT_ACCEPTED = "transfer_syntax_is_not_accepted"
    """Deflated data cannot be bounded before it is unpacked; JPIP keeps the pixels elsewhere."""
    FILE_IS_CORRUPT = "file_is_corrupt"
    """An element reaches beyond the end of its sequence or of the file, or cannot be read."""
    HEADER_IS_TOO_LARGE = "header_is_too_large"
    """Elements before the pixels exceed the limits on bytes, number or nesting."""
    UID_IS_MISSING = "uid_is_missing"
    """Study, series, instance or class has no UID."""
    UID_IS_NOT_VALID = "uid_is_not_valid"
    """A UID is not digits and dots, 64 characters at most."""
    SUBJECT_IS_MISSING = "subject_is_missing"
    """(0010,0020) is empty: there is no pseudonym to file the image under."""
    SUBJECT_IS_NOT_VALID = "subject_is_not_valid"
    """The pseudonym holds a control character, a slash or more than 64 characters."""
    MODALITY_IS_NOT_VALID = "modality_is_not_valid"
    """(0008,0060) is empty or not a DICOM code."""
    INSTANCE_HAS_NO_PIXELS = "instance_has_no_pixels"
    """Reports, encapsulated documents and other objects of text are not taken yet."""
    IDENTITY_IS_NOT_REMOVED = "identity_is_not_removed"
    """(0012,0062) is not YES: nobody states that the image was de-identified."""
    INSTANCE_IS_DUPLICATED = "instance_is_duplicated"
    """Other content bears the same SOP Instance UID; nobody can tell which one is right."""
    CONTENT_IS_DUPLICATED = "content_is_duplicated"
    """The same bytes came before; one copy entered."""
    FILE_BREAKS_THE_READER = "file_breaks_the_reader"
    """The reading process died of this file."""


@dataclass(frozen=True)
class Instance:
    """The figures of an instance that manifest, view and counts need."""

    subject: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    modality: str
    instance_number: int | None
    rows: int | None
    columns: int | None
    frames: int
    transfer_syntax: str


@dataclass(frozen=True)
class Accepted:
    """The file is an instance that may enter a dataset."""

    instance: Instance


@dataclass(frozen=True)
class Refused:
    """The file may not enter."""

    rule: Rule
    detail: str = ""
    """Tag path or reason, at most 256 characters; never a value from the file."""


Outcome = Accepted | Refused
