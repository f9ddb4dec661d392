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
    """Encapsulated documents and other objects outside the list of classes are not taken."""
    IDENTITY_IS_NOT_REMOVED = "identity_is_not_removed"
    """(0012,0062) is not YES: nobody states that the image was de-identified."""
    INSTANCE_IS_DUPLICATED = "instance_is_duplicated"
    """Other content bears the same SOP Instance UID; nobody can tell which one is right."""
    CONTENT_IS_DUPLICATED = "content_is_duplicated"
    """The same bytes came before; one copy entered."""
    FILE_BREAKS_THE_READER = "file_breaks_the_reader"
    """The reading process died of this file."""

    PERSON_IS_NAMED = "person_is_named"
    """A person name is neither empty nor a pseudonym."""
    SUBJECT_IS_NO_PSEUDONYM = "subject_is_no_pseudonym"
    """(0010,0020) does not look like the pseudonyms of the site, but like a number or a date."""
    ATTRIBUTE_IS_TO_BE_REMOVED = "attribute_is_to_be_removed"
    """PS3.15 table E.1-1 says X or Z, and no option that was declared and allowed keeps it."""
    ATTRIBUTE_IS_NOT_REPLACED = "attribute_is_not_replaced"
    """PS3.15 table E.1-1 says D, and the value is not recognised as a dummy."""
    DATE_IS_PRESENT = "date_is_present"
    """A date or time, and no option that was declared and allowed keeps it."""
    AGE_IS_TOO_HIGH = "age_is_too_high"
    """An age above 89 years."""
    CLAIM_IS_NOT_KEPT = "claim_is_not_kept"
    """What the file declares of its de-identification and what it holds differ."""
    METHOD_IS_NOT_STATED = "method_is_not_stated"
    """Neither (0012,0063) nor (0012,0064) says how the image was de-identified."""
    PRIVATE_ELEMENT_IS_PRESENT = "private_element_is_present"
    """An element of an odd group: nobody but its maker knows what it holds."""
    UID_IS_NOT_REMAPPED = "uid_is_not_remapped"
    """A UID under a root that was not declared as one of remapped UIDs."""
    FILE_META_DIFFERS = "file_meta_differs"
    """The file meta information names another instance or class than the data set."""
    FILE_META_TELLS_ORIGIN = "file_meta_tells_origin"
    """The file meta information holds titles, addresses or private information."""
    TEXT_LOOKS_IDENTIFYING = "text_looks_identifying"
    """A text holds an address, a telephone number, a date, a long number or a name."""
    TEXT_IS_IN_THE_DICTIONARY = "text_is_in_the_dictionary"
    """A text holds a name or number of the data holder's keyed dictionary."""
    TEXT_CANNOT_BE_READ = "text_cannot_be_read"
    """A text is not written in the character set that the file declares."""
    PREAMBLE_IS_NOT_ZERO = "preamble_is_not_zero"
    """The first 128 bytes may make the file another kind of file as well."""
    TRAILING_PADDING_IS_PRESENT = "trailing_padding_is_present"
    """(FFFC,FFFC): bytes of no meaning, where anything can hide."""
    ELEMENT_IS_UNKNOWN = "element_is_unknown"
    """An element that the standard does not know: nobody can say what it holds."""
    VR_IS_WRONG = "vr_is_wrong"
    """An element is not of the kind that the standard demands."""
    PIXELS_MAY_SHOW_TEXT = "pixels_may_show_text"
    """Images of this kind often show names, and nobody states that pixels were cleaned."""
    BURNED_IN_TEXT_IS_DECLARED = "burned_in_text_is_declared"
    """(0028,0301) is YES."""
    HEAD_MAY_SHOW_A_FACE = "head_may_show_a_face"
    """CT or MR of a head; nobody states that features were removed. A warning."""
    NAME_LOOKS_IDENTIFYING = "name_looks_identifying"
    """A file or folder name looks like a person, number or date. A warning: names stay behind."""


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
    warnings: tuple["Finding", ...] = ()
    """What a person should know and what refuses nothing."""


@dataclass(frozen=True)
class Refused:
    """The file may not enter."""

    rule: Rule
    detail: str = ""
    """Tag path or reason, at most 256 characters; never a value from the file."""
    findings: tuple["Finding", ...] = ()
    """All that the gate found, sorted; empty where the file could not be read to its end."""


@dataclass(frozen=True, order=True)
class Finding:
    """One rule and one place: an element at its path, however often it occurs there."""

    rule: Rule
    path: str
    """Tags from the top, as `(0008,1140)>(0008,1155)`; never a value."""
    count: int


Outcome = Accepted | Refused
