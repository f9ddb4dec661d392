"""Quality report and bias card of a folder, without a cluster.

Files are looked at in processes of their own: decoders are C code that strangers' bytes may
crash, and a crash then costs the one file, which is told.
"""

import hashlib
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from carrel.dicom import READER_LIMITS, Refused, Rule, read_instance
from carrel.dicom.bias import bias_card
from carrel.dicom.quality import quality_report
from carrel.dicom.sketch import Depth, Sketch, sketch
from carrel.flows.upload_folder import Survey
from carrel.rules.dataset_report import DatasetReport

_CHUNK = 32
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["carrel.flows.dataset_report"])


@dataclass(frozen=True)
class Look:
    """What one file turned out to be."""

    sketch: Sketch | None
    refused: str
    """Rule that refuses it; empty when it may enter."""
    sha256: str = ""
    """Content, in hexadecimal."""
    size: int = 0
    """Bytes."""


def folder_report(
    found: Survey, *, title: str, smallest: int, workers: int, tell: Callable[[int], None]
) -> DatasetReport:
    """Report on all files that were found.

    Args:
        found: The files.
        title: Heading of the report.
        smallest: Fewer subjects than this are never told.
        workers: Processes that read.
        tell: Called with the number of files that were read since the last call.

    """
    looks = looks_at(found, workers=workers, tell=tell)
    refused = Counter([each.rule for each in found.refused])
    refused.update(look.refused for look in looks if look.refused)
    return assembled(looks, refused=refused, title=title, smallest=smallest)


def looks_at(found: Survey, *, workers: int, tell: Callable[[int], None]) -> list[Look]:
    """Look at all files that were found; arguments as for `folder_report`."""
    looks: list[Look] = []
    for chunk in _read([file.path for file in found.files], workers=workers):
        looks += chunk
        tell(len(chunk))
    return looks


def assembled(
    looks: Iterable[Look], *, refused: Counter[str], title: str, smallest: int
) -> DatasetReport:
    """Make the report of what was seen."""
    known = list(looks)
    sketches = [each.sketch for each in known if each.sketch is not None]
    unreadable = sum(each.sketch is None and not each.refused for each in known)
    return DatasetReport(
        title=title,
        refused=tuple(sorted(refused.items())),
        quality=quality_report(sketches, unreadable=unreadable),
        bias=bias_card(sketches, smallest=smallest, stated={}),
    )


def look_at(path: Path) -> Look:
    """Look at one file; content never raises."""
    try:
        with path.open("rb") as file:
            outcome = read_instance(file, size=path.stat().st_size, limits=READER_LIMITS)
            match outcome:
                case Refused(Rule.INSTANCE_HAS_NO_PIXELS as rule):
                    # A structure set may not enter, and yet what it lacks is worth knowing.
                    return Look(sketch(file, depth=Depth.STRUCTURE), rule)
                case Refused(rule):
                    return Look(None, rule)
                case _:
                    found = sketch(file, depth=Depth.DECODED)
                    file.seek(0)
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                    return Look(found, "", content, file.tell())
    except OSError:
        return Look(None, "file_cannot_be_read")


def _read(paths: Sequence[Path], *, workers: int) -> Iterable[list[Look]]:
    chunks = [paths[at : at + _CHUNK] for at in range(0, len(paths), _CHUNK)]
    while chunks:
        done = 0
        try:
            with ProcessPoolExecutor(workers, mp_context=_CONTEXT) as pool:
                for looks in pool.map(_looked_at, chunks):
                    done += 1
                    yield looks
        except BrokenProcessPool:
            yield [_alone(path) for path in chunks[done]]
            done += 1
        chunks = chunks[done:]


def _looked_at(paths: Sequence[Path]) -> list[Look]:
    return [look_at(path) for path in paths]


def _alone(path: Path) -> Look:
    with ProcessPoolExecutor(1, mp_context=_CONTEXT) as pool:
        try:
            return pool.submit(look_at, path).result()
        except BrokenProcessPool:
            return Look(None, Rule.FILE_BREAKS_THE_READER)
