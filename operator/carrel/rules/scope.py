"""The scope of a grant: what an approver says yes to, and whether a grant stays within it.

A scope is built from the grant as it stands and from the content (digests) of what it names.
Lists are sorted and times cut to whole seconds towards the narrower side, so that one grant
has one scope. `widenings` compares field by field; every field of `ApprovedScope` has exactly
one comparison, and a test fails when a field is added without one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from carrel.kinds import AccessGrant, Dataset, EgressPolicy, WorkspaceClass
from carrel.kinds.approval import ApprovedScope, ScopedDataset, ScopedMenu
from carrel.kinds.dataset import DatasetReference, Selection
from carrel.kinds.grant import (
    AccessMode,
    HomePolicy,
    HomeRetention,
    NetworkLocks,
    OnRecorderLoss,
)
from carrel.rules.canonical import canonical_json, digest


@dataclass(frozen=True, kw_only=True)
class Widening:
    """One field in which a grant asks for more than was approved."""

    field: str
    """Path of the field in the grant, such as `spec.expires`."""
    sentence: str
    """What is wider, with both values where they are short."""


def approved_scope(
    grant: AccessGrant,
    *,
    datasets: Mapping[str, Dataset],
    workspace_class: WorkspaceClass,
    egress_policy: EgressPolicy,
) -> ApprovedScope:
    """Return the scope that an approval of this grant must carry; `datasets` by object name.

    Raises
    ------
    KeyError
        If a dataset that the grant names is not in `datasets`.
    """
    spec = grant.spec
    return ApprovedScope(
        grant_uid=grant.uid,
        requester=spec.requester,
        researchers=tuple(sorted(person.subject for person in spec.researchers)),
        project=spec.project,
        purpose=spec.purpose.model_copy(update={"codes": tuple(sorted(set(spec.purpose.codes)))}),
        datasets=tuple(
            _scoped(reference, datasets[reference.object_name])
            for reference in sorted(spec.datasets, key=lambda item: item.name)
        ),
        not_before=effective_start(spec.not_before),
        expires=effective_end(spec.expires),
        workspace_class=_menu(workspace_class),
        egress_policy=_menu(egress_policy),
        locks=spec.locks,
        mode=spec.mode,
        batch=spec.batch,
        home=effective_home(spec.home),
        on_recorder_loss=_beyond_default(spec.on_recorder_loss),
    )


def scope_text(scope: ApprovedScope) -> str:
    """Return the canonical JSON of a scope: what `Approval.spec.scope` holds."""
    return canonical_json(scope.to_wire())


def effective_start(not_before: datetime) -> datetime:
    """Return a start on a whole second, never earlier than asked for."""
    whole = not_before.replace(microsecond=0)
    return whole if whole == not_before else whole + timedelta(seconds=1)


def effective_end(expires: datetime) -> datetime:
    """Return an end on a whole second, never later than asked for."""
    return expires.replace(microsecond=0)


def effective_home(home: HomePolicy) -> HomePolicy:
    """Return the policy without days that Delete does not keep."""
    if home.retention is HomeRetention.DELETE:
        return HomePolicy(retention=HomeRetention.DELETE, keep_days=0)
    return home


def widenings(*, present: ApprovedScope, approved: ApprovedScope) -> tuple[Widening, ...]:
    """Return every field in which `present` is wider than `approved`; empty means within.

    What cannot be told from the two scopes alone counts as wider: a series of an approved
    study is not recognised, because only the manifest knows that it belongs to the study.
    """
    return tuple(
        Widening(field=f"spec.{_wire(field)}", sentence=sentence)
        for field, compare in COMPARISONS.items()
        for sentence in compare(present, approved)
    )


def _researchers(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    for subject in _beyond(present.researchers, approved.researchers):
        yield f"researcher {subject!r} is not approved"


def _datasets(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    known = {item.name: item for item in approved.datasets}
    for item in present.datasets:
        yes = known.get(item.name)
        if yes is None:
            yield f"dataset {item.name!r} is not approved"
        elif yes.version != item.version:
            yield f"dataset {item.name!r} is version {item.version}, approved is {yes.version}"
        elif yes.digest != item.digest:
            yield f"dataset {item.object_name!r} holds other content than was approved"
        else:
            yield from _selection(item, approved=yes.selection)


def _selection(item: DatasetReference, *, approved: Selection | None) -> Iterable[str]:
    if approved is None:
        return
    if item.selection is None:
        yield f"all of dataset {item.object_name!r} is asked for, approved is a selection"
        return
    heads = {
        "subjects": _beyond(item.selection.subjects, approved.subjects),
        "studies": _beyond(item.selection.studies, approved.studies),
        "series": _beyond(item.selection.series, approved.series),
    }
    for head, more in heads.items():
        if more:
            yield f"{len(more)} of the {head} of dataset {item.object_name!r} are not approved"


def _not_before(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    if present.not_before < approved.not_before:
        yield f"{_time(present.not_before)} is earlier than {_time(approved.not_before)}"


def _expires(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    if present.expires > approved.expires:
        yield f"{_time(present.expires)} is later than {_time(approved.expires)}"


def _locks(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    if present.locks is NetworkLocks.IN_POD and approved.locks is not NetworkLocks.IN_POD:
        yield "one lock (InPod) is asked for, approved are Both"


def _mode(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    if present.mode is not approved.mode and present.mode is not AccessMode.INTERACTIVE:
        yield f"{present.mode} is asked for, approved is {approved.mode}"


def _batch(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    for name in type(present.batch).model_fields:
        asked, allowed = getattr(present.batch, name), getattr(approved.batch, name)
        if asked > allowed:
            yield f"{name} {asked} is more than {allowed}"


def _home(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    asked, allowed = effective_home(present.home), effective_home(approved.home)
    if asked.keep_days > allowed.keep_days:
        yield f"homes are kept {asked.keep_days} days, approved are {allowed.keep_days}"
    elif asked.retention is HomeRetention.KEEP and allowed.retention is HomeRetention.DELETE:
        yield "homes are kept, approved is Delete"


_STERNNESS = (OnRecorderLoss.CLOSE_EGRESS, OnRecorderLoss.FREEZE, OnRecorderLoss.TERMINATE)


def effective_recorder_loss(scope: ApprovedScope) -> OnRecorderLoss:
    """Return what happens when refused attempts cannot be recorded."""
    return scope.on_recorder_loss or OnRecorderLoss.CLOSE_EGRESS


def _beyond_default(order: OnRecorderLoss) -> OnRecorderLoss | None:
    return None if order is OnRecorderLoss.CLOSE_EGRESS else order


def _on_recorder_loss(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
    asked, allowed = effective_recorder_loss(present), effective_recorder_loss(approved)
    if _STERNNESS.index(asked) < _STERNNESS.index(allowed):
        yield f"{asked} when recording fails is asked for, approved is {allowed}"


def _same(field: str) -> Callable[[ApprovedScope, ApprovedScope], Iterable[str]]:
    def compare(present: ApprovedScope, approved: ApprovedScope) -> Iterable[str]:
        if getattr(present, field) != getattr(approved, field):
            yield f"{_wire(field)} differs from what was approved"

    return compare


COMPARISONS: Mapping[str, Callable[[ApprovedScope, ApprovedScope], Iterable[str]]] = {
    "grant_uid": _same("grant_uid"),
    "requester": _same("requester"),
    "researchers": _researchers,
    "project": _same("project"),
    "purpose": _same("purpose"),
    "datasets": _datasets,
    "not_before": _not_before,
    "expires": _expires,
    "workspace_class": _same("workspace_class"),
    "egress_policy": _same("egress_policy"),
    "locks": _locks,
    "mode": _mode,
    "batch": _batch,
    "home": _home,
    "on_recorder_loss": _on_recorder_loss,
}
"""Field of ApprovedScope -> its comparison, which yields a sentence per thing that is wider."""


def _scoped(reference: DatasetReference, dataset: Dataset) -> ScopedDataset:
    return ScopedDataset(
        name=reference.name,
        version=reference.version,
        selection=sorted_selection(reference.selection),
        digest=dataset.spec.digest,
    )


def sorted_selection(selection: Selection | None) -> Selection | None:
    """Return a selection with sorted lists that hold nothing twice."""
    if selection is None:
        return None
    return Selection(
        subjects=tuple(sorted(set(selection.subjects))),
        studies=tuple(sorted(set(selection.studies))),
        series=tuple(sorted(set(selection.series))),
    )


def _menu(entry: WorkspaceClass | EgressPolicy) -> ScopedMenu:
    return ScopedMenu(name=entry.metadata.name, digest=digest(entry.spec))


def _beyond(asked: Iterable[str], allowed: Iterable[str]) -> list[str]:
    return sorted(set(asked) - set(allowed))


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _wire(field: str) -> str:
    return ApprovedScope.model_fields[field].alias or field
