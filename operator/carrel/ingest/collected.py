"""What only shows when all files are seen: duplicates, the manifest's rows, and counts. Pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carrel.dicom import Accepted, Instance, Refused, Rule
from carrel.dicom.sketch import Sketch
from carrel.ingest.reading import Seen
from carrel.kinds.dataset import DatasetCounts
from carrel.kinds.ingest import Refusal, RuleCount
from carrel.rules.content_digest import content_digest as content_digest_of
from carrel.rules.merkle import Leaf, Node, tree
from carrel.rules.view_path import view_path

LARGEST_REFUSALS = 2000


@dataclass(frozen=True)
class Row:
    """A row of the manifest."""

    instance: Instance
    size: int
    sha256: str
    """In hexadecimal."""
    path: str
    """Where it stands in a view, below the dataset's folder."""
    sketch: Sketch | None = None
    """What reports need to know of it."""


@dataclass(frozen=True)
class Collection:
    """What becomes of an upload."""

    rows: tuple[Row, ...]
    """Sorted by path."""
    refusals: tuple[Refusal, ...]
    """Sorted by number."""


def collected(seen: Iterable[Seen]) -> Collection:
    """Sort files into rows and refusals, whatever order they come in."""
    refusals: list[Refusal] = []
    by_uid: dict[str, list[tuple[Seen, Instance]]] = defaultdict(list)
    for each in sorted(seen, key=lambda each: each.index):
        match each.outcome:
            case Accepted(instance, _):
                by_uid[instance.sop_uid].append((each, instance))
            case Refused(rule, detail, _):
                refusals.append(Refusal(index=each.index, rule=rule, detail=detail))
    rows: list[Row] = []
    for same in by_uid.values():
        if len({each.digest for each, _ in same}) > 1:
            refusals += [_refused(each, Rule.INSTANCE_IS_DUPLICATED) for each, _ in same]
            continue
        (first, instance), *others = same
        rows.append(_row(first, instance))
        refusals += [_refused(each, Rule.CONTENT_IS_DUPLICATED) for each, _ in others]
    return Collection(
        rows=tuple(sorted(rows, key=lambda row: row.path)),
        refusals=tuple(sorted(refusals, key=lambda refusal: refusal.index)),
    )


def content_digest(rows: Iterable[Row]) -> str:
    """Return the digest over what the dataset holds."""
    return content_digest_of((row.sha256, row.size, row.path) for row in rows)


def upload_digest(seen: Iterable[Seen]) -> str:
    """Return `sha256:...` over the lines `<index> <sha256>` in order of number."""
    found = hashlib.sha256()
    for each in sorted(seen, key=lambda each: each.index):
        found.update(f"{each.index} {each.digest}\n".encode())
    return "sha256:" + found.hexdigest()


def digest_tree(rows: Iterable[Row]) -> Node:
    """Return the tree of digests over subjects, studies and series."""
    return tree(
        Leaf(
            branch=(row.instance.subject, row.instance.study_uid, row.instance.series_uid),
            path=row.path,
            sha256=row.sha256,
            size=row.size,
        )
        for row in rows
    )


def counts(rows: Sequence[Row]) -> DatasetCounts:
    """Count subjects, studies, series, instances and bytes."""
    return DatasetCounts(
        subjects=len({row.instance.subject for row in rows}),
        studies=len({row.instance.study_uid for row in rows}),
        series=len({row.instance.series_uid for row in rows}),
        instances=len(rows),
        bytes=sum(row.size for row in rows),
    )


def modalities(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the modalities that occur, sorted."""
    return tuple(sorted({row.instance.modality for row in rows}))


def by_rule(refusals: Iterable[Refusal]) -> tuple[RuleCount, ...]:
    """Count refusals by rule, sorted by rule."""
    found: dict[str, int] = defaultdict(int)
    for refusal in refusals:
        found[refusal.rule] += 1
    return tuple(RuleCount(rule=rule, count=count) for rule, count in sorted(found.items()))


def _row(seen: Seen, instance: Instance) -> Row:
    path = view_path(
        subject=instance.subject,
        study=instance.study_uid,
        series=instance.series_uid,
        instance=instance.sop_uid,
    )
    return Row(instance=instance, size=seen.size, sha256=seen.digest, path=path, sketch=seen.sketch)


def _refused(seen: Seen, rule: Rule) -> Refusal:
    return Refusal(index=seen.index, rule=rule, detail="(0008,0018)")
