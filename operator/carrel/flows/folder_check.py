"""The gate over a folder, without a cluster: what an ingest would refuse, and why.

Each file is read once, by one of a few processes; a file that kills its process is found by
giving each file of its chunk a process of its own.
"""

import hashlib
import multiprocessing
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from carrel.dicom import READER_LIMITS, Accepted, Finding, Gate, GatePolicy, Refused, Rule
from carrel.dicom.identity_text import looks_identifying
from carrel.flows.upload_folder import LocalFile, Survey, shown

_CHUNK_FILES = 64
_BLOCK = 256 * 1024
LARGEST_TOLD = 2000
_MOST_PATHS = 200
_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class RefusedLocally:
    """A refused file under its name on this machine."""

    file: str
    rule: str
    detail: str


@dataclass(frozen=True)
class RuleFindings:
    """What one rule found in all files."""

    rule: str
    files: int
    elements: int
    paths: dict[str, int]
    """How many elements at which path, the most frequent 200."""


@dataclass(frozen=True)
class Checked:
    """What the gate says of a folder."""

    files: int
    accepted: int
    refused: int
    bytes: int
    findings: tuple[RuleFindings, ...]
    """What refuses, sorted by rule."""
    warnings: tuple[RuleFindings, ...]
    """What a person should know and what refuses nothing."""
    refusals: tuple[RefusedLocally, ...]
    """The first 2,000 refused files, in order."""


@dataclass(frozen=True)
class _Order:
    folder: Path
    files: tuple[LocalFile, ...]
    policy: GatePolicy


@dataclass(frozen=True)
class _Answer:
    index: int
    size: int
    refused: tuple[str, str] | None
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    identity: tuple[bytes, bytes] | None
    """Digests of the SOP Instance UID and of the content, of an accepted file."""


def check(
    found: Survey,
    folder: Path,
    *,
    policy: GatePolicy,
    workers: int,
    tell: Callable[[int, int], None],
) -> Checked:
    """Look at every file of a survey; `tell` is called with files and bytes that were read.

    Raises:
        OSError: when no process can be started.

    """
    tally, files, size = _Tally(), 0, 0
    for each in found.refused:
        tally.refuse(-1, shown(each.path), each.rule, each.detail)
    names = {file.index: file.path for file in found.files}
    for answers in _answers(found.files, folder, policy=policy, workers=workers):
        for answer in answers:
            tally.add(answer, name=shown(names[answer.index]))
            files, size = files + 1, size + answer.size
        tell(files, size)
    return tally.checked(files=files + len(found.refused), size=size)


def look(file: LocalFile, *, folder: Path, gate: Gate) -> _Answer:
    """Read one file once and say what the gate says."""
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _unread(file, "file_cannot_be_read", error.strerror or type(error).__name__)
    try:
        with open(descriptor, "rb", buffering=0) as opened:  # noqa: PTH123 - a descriptor
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return _unread(file, "file_is_not_regular", "it became something else")
            found, size, head = hashlib.sha256(), 0, b""
            while block := opened.read(_BLOCK):
                head = head or block
                found.update(block)
                size += len(block)
            outcome = gate.look(opened, size=size, head=head)
            after = os.fstat(descriptor)
    except OSError as error:
        return _unread(file, "file_cannot_be_read", error.strerror or type(error).__name__)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return _unread(file, "file_changes", "it was written while it was read")
    named = _named(file.path, folder)
    match outcome:
        case Accepted(instance, warnings):
            uid = hashlib.sha256(instance.sop_uid.encode()).digest()[:12]
            identity = (uid, found.digest()[:12])
            return _Answer(file.index, size, None, (), (*warnings, *named), identity)
        case Refused(rule, detail, findings):
            told = findings or (Finding(rule, "", 1),)
            return _Answer(file.index, size, (rule, detail), told, named, None)


class _Tally:
    """The sum of all answers; grows with rules and places, not with files that are fine."""

    def __init__(self) -> None:
        self._found, self._warned = dict[str, _Sum](), dict[str, _Sum]()
        self._refusals: list[tuple[int, RefusedLocally]] = []
        self._refused = self._accepted = 0
        self._seen: dict[bytes, tuple[int, str, bytes, bool]] = {}

    def add(self, answer: _Answer, *, name: str) -> None:
        _summed(self._warned, answer.warnings)
        if answer.refused is not None:
            self._refused += 1
            _summed(self._found, answer.findings)
            self._tell(answer.index, RefusedLocally(name, *answer.refused))
            return
        self._accepted += 1
        if answer.identity is not None:
            self._compare(answer.index, name, *answer.identity)

    def refuse(self, index: int, name: str, rule: str, detail: str) -> None:
        self._refused += 1
        _summed(self._found, [(rule, "", 1)])
        self._tell(index, RefusedLocally(name, rule, detail))

    def checked(self, *, files: int, size: int) -> Checked:
        ordered = sorted(self._refusals, key=lambda each: each[0])
        return Checked(
            files=files,
            accepted=self._accepted,
            refused=self._refused,
            bytes=size,
            findings=_sorted(self._found),
            warnings=_sorted(self._warned),
            refusals=tuple(each for _, each in ordered[:LARGEST_TOLD]),
        )

    def _compare(self, index: int, name: str, uid: bytes, digest: bytes) -> None:
        """Refuse as the ingest does: copies beyond the first, all that differ under one UID."""
        before = self._seen.get(uid)
        if before is None:
            self._seen[uid] = (index, name, digest, False)
            return
        first, first_name, first_digest, told = before
        self._accepted -= 1
        if digest == first_digest:
            self.refuse(index, name, Rule.CONTENT_IS_DUPLICATED, "(0008,0018)")
            return
        self.refuse(index, name, Rule.INSTANCE_IS_DUPLICATED, "(0008,0018)")
        if not told:
            self._accepted -= 1
            self.refuse(first, first_name, Rule.INSTANCE_IS_DUPLICATED, "(0008,0018)")
            self._seen[uid] = (first, first_name, first_digest, True)

    def _tell(self, index: int, refusal: RefusedLocally) -> None:
        # Chunks end in any order: keep some more than are told, then cut.
        self._refusals.append((index, refusal))
        if len(self._refusals) > 2 * LARGEST_TOLD:
            self._refusals = sorted(self._refusals, key=lambda each: each[0])[:LARGEST_TOLD]


@dataclass
class _Sum:
    files: int = 0
    paths: Counter[str] = field(default_factory=Counter)


def _summed(
    sums: dict[str, _Sum], found: Sequence[Finding] | Sequence[tuple[str, str, int]]
) -> None:
    rows = [
        (each.rule, each.path, each.count) if isinstance(each, Finding) else each for each in found
    ]
    for rule in {rule for rule, _, _ in rows}:
        sums.setdefault(str(rule), _Sum()).files += 1
    for rule, path, count in rows:
        sums[str(rule)].paths[path] += count


def _sorted(sums: dict[str, _Sum]) -> tuple[RuleFindings, ...]:
    return tuple(
        RuleFindings(
            rule=rule,
            files=each.files,
            elements=each.paths.total(),
            paths=dict(sorted((p, n) for p, n in each.paths.most_common(_MOST_PATHS) if p)),
        )
        for rule, each in sorted(sums.items())
    )


def _answers(
    files: Sequence[LocalFile], folder: Path, *, policy: GatePolicy, workers: int
) -> Iterator[list[_Answer]]:
    left = [
        _Order(folder, tuple(files[start : start + _CHUNK_FILES]), policy)
        for start in range(0, len(files), _CHUNK_FILES)
    ]
    while left:
        done: set[int] = set()
        try:
            for order, answers in _pooled(left, workers=workers):
                done.add(id(order))
                yield answers
        except BrokenProcessPool:
            # Whose fault it was is not told. What was in the workers' hands goes file by file.
            left = [order for order in left if id(order) not in done]
            suspects, left = left[: 2 * workers], left[2 * workers :]
            for order in suspects:
                for file in order.files:
                    yield _alone(_Order(folder, (file,), policy))
        else:
            return


def _pooled(orders: Sequence[_Order], *, workers: int) -> Iterator[tuple[_Order, list[_Answer]]]:
    with ProcessPoolExecutor(workers, mp_context=_CONTEXT) as pool:
        waiting, running = list(reversed(orders)), dict[Future[list[_Answer]], _Order]()
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                order = waiting.pop()
                running[pool.submit(_perform, order)] = order
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _alone(order: _Order) -> list[_Answer]:
    with ProcessPoolExecutor(1, mp_context=_CONTEXT) as pool:
        try:
            return pool.submit(_perform, order).result()
        except BrokenProcessPool:
            (file,) = order.files
            return [_unread(file, Rule.FILE_BREAKS_THE_READER, "the reading process died")]


def _perform(order: _Order) -> list[_Answer]:
    gate = _gate(order.policy)
    return [look(file, folder=order.folder, gate=gate) for file in order.files]


@lru_cache(maxsize=1)
def _gate(policy: GatePolicy) -> Gate:
    return Gate(policy=policy, limits=READER_LIMITS)


def _unread(file: LocalFile, rule: str, detail: str) -> _Answer:
    # The name of the rule may be one of the survey's, which are no rules of content.
    return _Answer(file.index, 0, (rule, detail), (_local(rule),), (), None)


def _local(rule: str) -> Finding:
    return Finding(rule, "", 1)  # type: ignore[arg-type]  # a rule of the survey counts as one


def _named(path: Path, folder: Path) -> tuple[Finding, ...]:
    suspicious = any(looks_identifying(part) for part in path.relative_to(folder).parts)
    return (Finding(Rule.NAME_LOOKS_IDENTIFYING, "name of the file", 1),) if suspicious else ()
