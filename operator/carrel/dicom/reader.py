"""One look at a file: what instance it is, or which rules refuse it. Never raises for content."""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from carrel.dicom.file_rules import (
    IDENTITY_REMOVED,
    STRICT,
    GatePolicy,
    Sighting,
    excused,
    file_findings,
    is_class_taken,
    is_warning,
    merged,
)
from carrel.dicom.instance import Accepted, Finding, Instance, Outcome, Refused, Rule
from carrel.dicom.sight import Memory, Sight
from carrel.dicom.structure import BrokenError, Content, Encoding, TooMuchError, walk
from carrel.kinds.ingest import DeidentificationOption as Option

_PREFIX = b"DICM"
_PREAMBLE = 128
_META_BYTES = 65_536
_DICOMDIR = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_ENCODINGS = {
    "1.2.840.10008.1.2": Encoding.IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": Encoding.EXPLICIT_BIG,
}
_NOT_ACCEPTED = {
    "1.2.840.10008.1.2.4.94": "JPIP referenced",
    "1.2.840.10008.1.2.4.95": "JPIP referenced deflate",
    "1.2.840.10008.1.2.4.204": "JPIP HTJ2K referenced",
    "1.2.840.10008.1.2.4.205": "JPIP HTJ2K referenced deflate",
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}\Z")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f/\\]{1,64}\Z")
_MOST_VERDICTS, _PLACES_TOLD = 512, 6
_Verdict = tuple[tuple[Finding, ...], tuple[Finding, ...], str]
"""What refuses, what warns, and the sentence of a refusal."""
_CLASS, _INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E


@dataclass(frozen=True)
class ReaderLimits:
    """How much a file may ask of the reader; bounds time as well as memory."""

    file_bytes: int
    header_bytes: int
    elements: int
    depth: int
    inflated_bytes: int
    """What deflated data may grow to; it is held in memory."""


READER_LIMITS = ReaderLimits(
    file_bytes=4 * 2**30,
    header_bytes=64 * 2**20,
    elements=1_000_000,
    depth=16,
    inflated_bytes=256 * 2**20,
)
"""Room for an enhanced multi-frame image of some ten thousand frames."""


@dataclass(frozen=True)
class _Meta:
    """The file meta information (PS3.10 section 7.1)."""

    elements: dict[int, bytes]
    end: int

    def text(self, number: int) -> str:
        return self.elements.get(number, b"").rstrip(b"\0 ").decode("ascii", "replace")


@dataclass(frozen=True)
class _Seen:
    """What a walk through a whole file gave."""

    sight: Sight
    sighting: Sighting
    instance: Instance | Refused


class _RefusedError(Exception):
    def __init__(self, rule: Rule, detail: str = "") -> None:
        super().__init__(rule)
        self.outcome = Refused(rule, detail[:256])


@dataclass(frozen=True)
class _File:
    """A file whose first bytes were read already."""

    head: bytes
    file: BinaryIO

    def read_at(self, at: int, count: int) -> bytes:
        if at + count <= len(self.head):
            # All that is left of it: the walk then asks once, not once a chunk.
            return self.head[at:] if at else self.head
        self.file.seek(at)
        return self.file.read(count)


@dataclass(frozen=True)
class _Inflated:
    """A deflated data set, unpacked."""

    data: bytes

    def read_at(self, at: int, count: int) -> bytes:
        return self.data[at : at + count]


class Gate:
    """Looks at files, one after the other; remembers verdicts, never files."""

    def __init__(self, *, policy: GatePolicy, limits: ReaderLimits) -> None:
        self._policy = policy
        self._limits = limits
        self._memory = Memory(policy.element)
        self._verdicts: dict[
            tuple[tuple[int, ...], frozenset[Option], tuple[Finding, ...]], _Verdict
        ] = {}

    def look(self, file: BinaryIO, *, size: int, head: bytes = b"") -> Outcome:
        """Look at a file of `size` bytes that is open for reading and can seek.

        Reads what is not pixels; content leads to a `Refused`, only the file system can raise.
        `head` are first bytes that were read already.
        """
        match self.seen(file, size=size, head=head):
            case Refused() as refused:
                return refused
            case _Seen(sight, sighting, described):
                refusing, warnings, detail = self._found(sight, sighting)
        if isinstance(described, Refused):
            return Refused(described.rule, described.detail, refusing)
        if refusing:
            return Refused(refusing[0].rule, detail, refusing)
        return Accepted(described, warnings)

    def seen(self, file: BinaryIO, *, size: int, head: bytes = b"") -> "_Seen | Refused":
        """Walk through a file without judging what was seen."""
        try:
            return self._walked(file, size=size, head=head)
        except _RefusedError as error:
            return error.outcome
        except BrokenError as error:
            return Refused(Rule.FILE_IS_CORRUPT, str(error)[:256])
        except TooMuchError as error:
            return Refused(Rule.HEADER_IS_TOO_LARGE, str(error)[:256])

    def _found(self, sight: Sight, sighting: Sighting) -> _Verdict:
        """Return what the rules find; slices of a series share the answer."""
        allowed = excused(sighting, policy=self._policy)
        of_file = file_findings(sighting, excused=allowed)
        notes = [note for note in sight.notes() if note.suspicions]
        if len(self._verdicts) > _MOST_VERDICTS:
            self._verdicts.clear()
        key = (tuple([note.shape for note in notes]), allowed, of_file)
        found = self._verdicts.get(key)
        if found is None:
            of_elements = (
                Finding(suspicion.rule, note.path, 1)
                for note in notes
                for suspicion in note.suspicions
                if not suspicion.excuses & allowed
            )
            found = self._verdicts[key] = _verdict(merged([*of_file, *of_elements]))
        self._memory.tidy()
        return found

    def _walked(self, file: BinaryIO, *, size: int, head: bytes) -> "_Seen":
        limits = self._limits
        if size == 0:
            raise _RefusedError(Rule.FILE_IS_EMPTY)
        if size > limits.file_bytes:
            raise _RefusedError(
                Rule.FILE_IS_TOO_LARGE, f"{size:,} bytes, at most {limits.file_bytes:,} are taken"
            )
        if len(head) < min(size, _META_BYTES):
            file.seek(0)
            head = file.read(_META_BYTES)
        meta = _meta(head, size=size)
        syntax = meta.text(0x0010)
        if meta.text(0x0002) == _DICOMDIR:
            raise _RefusedError(Rule.FILE_IS_A_DIRECTORY_RECORD)
        if syntax in _NOT_ACCEPTED:
            raise _RefusedError(Rule.TRANSFER_SYNTAX_IS_NOT_ACCEPTED, _NOT_ACCEPTED[syntax])
        content: Content = _File(head, file)
        start = meta.end
        if syntax == _DEFLATED:
            inflated = _inflated(file, start=start, limit=limits.inflated_bytes)
            content, start, size = _Inflated(inflated), 0, len(inflated)
        sight = Sight(self._memory)
        skeleton = walk(
            content,
            start=start,
            size=size,
            encoding=_ENCODINGS.get(syntax, Encoding.EXPLICIT_LITTLE),
            limits=limits,
            visitor=sight,
        )
        sight.close()
        sighting = Sighting(
            facts=sight.facts(),
            meta=meta.elements,
            preamble=head[:_PREAMBLE],
            codes=frozenset(sight.codes),
            has_pixels=skeleton.pixels_at is not None,
        )
        try:
            instance: Instance | Refused = _described(
                sight, syntax=syntax, has_pixels=sighting.has_pixels
            )
        except _RefusedError as error:
            instance = error.outcome
        return _Seen(sight, sighting, instance)


def read_instance(file: BinaryIO, *, size: int, limits: ReaderLimits) -> Outcome:
    """Say what image a file is: its structure and figures, and that it calls itself removed.

    Reports and sketches ask this; what may enter a dataset is `Gate.look`'s to say.
    """
    match Gate(policy=STRICT, limits=limits).seen(file, size=size):
        case Refused(rule, detail):
            return Refused(rule, detail)
        case _Seen(sight, sighting, described):
            if not sighting.has_pixels:
                return Refused(Rule.INSTANCE_HAS_NO_PIXELS)
            if isinstance(described, Refused):
                return described
            if sight.text(IDENTITY_REMOVED) != "YES":
                return Refused(Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)")
            return Accepted(described)


def _verdict(found: tuple[Finding, ...]) -> _Verdict:
    refusing = tuple(each for each in found if not is_warning(each))
    warnings = tuple(each for each in found if is_warning(each))
    return refusing, warnings, _detail(refusing) if refusing else ""


def _detail(found: tuple[Finding, ...]) -> str:
    places = [each.path for each in found if each.rule is found[0].rule]
    others = len(found) - len(places)
    text = " ".join(places[:_PLACES_TOLD])
    if len(places) > _PLACES_TOLD:
        text += f" and {len(places) - _PLACES_TOLD} more"
    return (text[:200] + (f"; {others} findings of other rules" if others else ""))[:256]


def _meta(head: bytes, *, size: int) -> _Meta:
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
        if at < min(len(head), size) or len(head) < size:
            raise _RefusedError(
                Rule.FILE_IS_NOT_DICOM, "the file meta information does not end"
            ) from None
    if 0x0010 not in found:
        raise _RefusedError(Rule.FILE_IS_NOT_DICOM, "(0002,0010) is missing")
    return _Meta(found, at)


def _inflated(file: BinaryIO, *, start: int, limit: int) -> bytes:
    file.seek(start)
    unpacker, parts, total = zlib.decompressobj(-zlib.MAX_WBITS), list[bytes](), 0
    try:
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(65_536)
            if not packed:
                raise _RefusedError(Rule.FILE_IS_CORRUPT, "the deflated data do not end")
            parts.append(unpacker.decompress(packed, limit - total + 1))
            total += len(parts[-1])
            if total > limit:
                raise _RefusedError(
                    Rule.HEADER_IS_TOO_LARGE, f"deflated data of more than {limit:,} bytes"
                )
    except zlib.error:
        raise _RefusedError(Rule.FILE_IS_CORRUPT, "the deflated data cannot be unpacked") from None
    # One byte of zero makes the length even (PS3.5 annex A.5).
    if (unpacker.unused_data + file.read(2)) not in (b"", b"\0"):
        raise _RefusedError(Rule.FILE_IS_CORRUPT, "bytes follow the deflated data")
    return b"".join(parts)


def _described(sight: Sight, *, syntax: str, has_pixels: bool) -> Instance:
    uids = {tag: _uid(sight, tag) for tag in (_CLASS, _INSTANCE, _STUDY, _SERIES)}
    if not _UID.match(syntax) or len(syntax) > 64:
        raise _RefusedError(Rule.UID_IS_NOT_VALID, "(0002,0010)")
    if not is_class_taken(uids[_CLASS], has_pixels=has_pixels):
        raise _RefusedError(Rule.INSTANCE_HAS_NO_PIXELS, "(0008,0016)")
    modality = sight.text(0x00080060)
    if not _MODALITY.match(modality):
        raise _RefusedError(Rule.MODALITY_IS_NOT_VALID, "(0008,0060)")
    subject = sight.text(0x00100020)
    if not subject:
        raise _RefusedError(Rule.SUBJECT_IS_MISSING, "(0010,0020)")
    if not _SUBJECT.match(subject) or not _encodable(subject):
        raise _RefusedError(Rule.SUBJECT_IS_NOT_VALID, "(0010,0020)")
    return Instance(
        subject=subject,
        study_uid=uids[_STUDY],
        series_uid=uids[_SERIES],
        sop_uid=uids[_INSTANCE],
        sop_class=uids[_CLASS],
        modality=modality,
        instance_number=sight.number(0x00200013),
        rows=sight.number(0x00280010),
        columns=sight.number(0x00280011),
        frames=sight.number(0x00280008) or 1,
        transfer_syntax=syntax,
    )


def _uid(sight: Sight, tag: int) -> str:
    uid, path = sight.text(tag), f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
    if not uid:
        raise _RefusedError(Rule.UID_IS_MISSING, path)
    if len(uid) > 64 or not _UID.match(uid):
        raise _RefusedError(Rule.UID_IS_NOT_VALID, path)
    return uid


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
