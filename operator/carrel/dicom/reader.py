"""One look at a file: what instance it is, or which rule refuses it. Never raises for content."""

import io
import re
import struct
import warnings
from dataclasses import dataclass
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from carrel.dicom.instance import Accepted, Instance, Outcome, Refused, Rule
from carrel.dicom.structure import BrokenError, Encoding, TooMuchError, walk

_PREFIX = b"DICM"
_PREAMBLE = 128
_META_BYTES = 65_536
_DICOMDIR = "1.2.840.10008.1.3.10"
_ENCODINGS = {
    "1.2.840.10008.1.2": Encoding.IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": Encoding.EXPLICIT_BIG,
}
_NOT_ACCEPTED = {
    "1.2.840.10008.1.2.1.99": "deflated explicit VR little endian",
    "1.2.840.10008.1.2.4.94": "JPIP referenced",
    "1.2.840.10008.1.2.4.95": "JPIP referenced deflate",
    "1.2.840.10008.1.2.4.204": "JPIP HTJ2K referenced",
    "1.2.840.10008.1.2.4.205": "JPIP HTJ2K referenced deflate",
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}\Z")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,64}\Z")

_UIDS = {
    "SOPClassUID": "(0008,0016)",
    "SOPInstanceUID": "(0008,0018)",
    "StudyInstanceUID": "(0020,000d)",
    "SeriesInstanceUID": "(0020,000e)",
}
_WANTED: list[BaseTag] = [
    Tag(keyword)
    for keyword in (
        *_UIDS,
        "SpecificCharacterSet",
        "Modality",
        "PatientID",
        "PatientIdentityRemoved",
        "InstanceNumber",
        "NumberOfFrames",
        "Rows",
        "Columns",
    )
]


@dataclass(frozen=True)
class ReaderLimits:
    """How much a file may ask of the reader; bounds time as well as memory."""

    file_bytes: int
    header_bytes: int
    elements: int
    depth: int


READER_LIMITS = ReaderLimits(
    file_bytes=4 * 2**30, header_bytes=64 * 2**20, elements=1_000_000, depth=16
)
"""Room for an enhanced multi-frame image of some ten thousand frames."""


@dataclass(frozen=True)
class _Meta:
    """The file meta information (PS3.10 section 7.1)."""

    transfer_syntax: str
    sop_class: str
    end: int


class _RefusedError(Exception):
    def __init__(self, rule: Rule, detail: str = "") -> None:
        super().__init__(rule)
        self.outcome = Refused(rule, detail[:256])


def read_instance(file: BinaryIO, *, size: int, limits: ReaderLimits) -> Outcome:
    """Look at a file of `size` bytes that is open for reading and can seek.

    Reads the header alone; content leads to a `Refused`, only the file system can raise.
    """
    try:
        return Accepted(_instance(file, size=size, limits=limits))
    except _RefusedError as error:
        return error.outcome
    except BrokenError as error:
        return Refused(Rule.FILE_IS_CORRUPT, str(error)[:256])
    except TooMuchError as error:
        return Refused(Rule.HEADER_IS_TOO_LARGE, str(error)[:256])


def _instance(file: BinaryIO, *, size: int, limits: ReaderLimits) -> Instance:
    if size == 0:
        raise _RefusedError(Rule.FILE_IS_EMPTY)
    if size > limits.file_bytes:
        raise _RefusedError(
            Rule.FILE_IS_TOO_LARGE, f"{size:,} bytes, at most {limits.file_bytes:,} are taken"
        )
    meta = _meta(file)
    if meta.sop_class == _DICOMDIR:
        raise _RefusedError(Rule.FILE_IS_A_DIRECTORY_RECORD)
    if meta.transfer_syntax in _NOT_ACCEPTED:
        raise _RefusedError(
            Rule.TRANSFER_SYNTAX_IS_NOT_ACCEPTED, _NOT_ACCEPTED[meta.transfer_syntax]
        )
    encoding = _ENCODINGS.get(meta.transfer_syntax, Encoding.EXPLICIT_LITTLE)
    skeleton = walk(file, start=meta.end, size=size, encoding=encoding, limits=limits)
    if skeleton.pixels_at is None:
        raise _RefusedError(Rule.INSTANCE_HAS_NO_PIXELS)
    return _described(_header(file, end=skeleton.pixels_at), meta=meta)


def _meta(file: BinaryIO) -> _Meta:
    file.seek(0)
    head = file.read(_META_BYTES)
    if head[_PREAMBLE : _PREAMBLE + 4] != _PREFIX:
        raise _RefusedError(Rule.FILE_IS_NOT_DICOM, "no DICM mark at byte 128")
    at, found = _PREAMBLE + 4, dict[int, bytes]()
    try:
        while struct.unpack_from("<H", head, at)[0] == 0x0002:
            number, vr, length = struct.unpack_from("<H2sH", head, at + 2)
            at += 8
            if vr in (b"OB", b"UN", b"UT", b"OW"):
                (length,) = struct.unpack_from("<I", head, at)
                at += 4
            found[number] = head[at : at + length]
            at += length
    except struct.error:
        if at < len(head) or len(head) == _META_BYTES:
            raise _RefusedError(
                Rule.FILE_IS_NOT_DICOM, "the file meta information does not end"
            ) from None
    if 0x0010 not in found:
        raise _RefusedError(Rule.FILE_IS_NOT_DICOM, "(0002,0010) is missing")
    return _Meta(_ascii(found[0x0010]), _ascii(found.get(0x0002, b"")), at)


def _ascii(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def _header(file: BinaryIO, *, end: int) -> Dataset:
    file.seek(0)
    data = io.BytesIO(file.read(end))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes values in its warnings
            return pydicom.dcmread(data, specific_tags=list(_WANTED))
    except Exception as error:  # noqa: BLE001 - pydicom may raise anything on hostile bytes
        raise _RefusedError(Rule.FILE_IS_CORRUPT, type(error).__name__) from None


def _described(header: Dataset, *, meta: _Meta) -> Instance:
    uids = {keyword: _uid(header, keyword) for keyword in _UIDS}
    if not _UID.match(meta.transfer_syntax) or len(meta.transfer_syntax) > 64:
        raise _RefusedError(Rule.UID_IS_NOT_VALID, "(0002,0010)")
    modality = _text(header, "Modality")
    if not _MODALITY.match(modality):
        raise _RefusedError(Rule.MODALITY_IS_NOT_VALID, "(0008,0060)")
    subject = _text(header, "PatientID")
    if not subject:
        raise _RefusedError(Rule.SUBJECT_IS_MISSING, "(0010,0020)")
    if not _SUBJECT.match(subject) or not _encodable(subject):
        raise _RefusedError(Rule.SUBJECT_IS_NOT_VALID, "(0010,0020)")
    if _text(header, "PatientIdentityRemoved") != "YES":
        raise _RefusedError(Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)")
    return Instance(
        subject=subject,
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        sop_uid=uids["SOPInstanceUID"],
        sop_class=uids["SOPClassUID"],
        modality=modality,
        instance_number=_number(header, "InstanceNumber"),
        rows=_number(header, "Rows"),
        columns=_number(header, "Columns"),
        frames=_number(header, "NumberOfFrames") or 1,
        transfer_syntax=meta.transfer_syntax,
    )


def _uid(header: Dataset, keyword: str) -> str:
    uid = _text(header, keyword)
    if not uid:
        raise _RefusedError(Rule.UID_IS_MISSING, _UIDS[keyword])
    if len(uid) > 64 or not _UID.match(uid):
        raise _RefusedError(Rule.UID_IS_NOT_VALID, _UIDS[keyword])
    return uid


def _text(header: Dataset, keyword: str) -> str:
    value = _value(header, keyword)
    return value.strip(" \0") if isinstance(value, str) else ""


def _number(header: Dataset, keyword: str) -> int | None:
    value = _value(header, keyword)
    if isinstance(value, int) and -(2**31) <= value < 2**31:
        return int(value)
    return None


def _value(header: Dataset, keyword: str) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in _header
            return header.get(keyword)
    except Exception:  # noqa: BLE001 - values are decoded late, and hostile ones raise anything
        return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
