"""Which audit events become records, and what of them is kept: never a body of a Secret."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from carrel.ledger.event import Activity, Event
from carrel.ledger.record import canonical
from carrel.ledger.text import plain

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_GOVERNING = frozenset(
    {
        "carrel.dev",
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
        "policy.networking.k8s.io",
        "cilium.io",
        "crd.projectcalico.org",
        "projectcalico.org",
    }
)
"""Groups whose objects decide who may do or reach what."""
_GOVERNING_RESOURCES = frozenset(
    {
        ("networking.k8s.io", "networkpolicies"),
        ("", "namespaces"),
        ("", "nodes"),
        ("", "secrets"),
        ("", "serviceaccounts"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("certificates.k8s.io", "certificatesigningrequests"),
    }
)
_ENTRANCES = frozenset(
    {
        ("pods", "exec"),
        ("pods", "attach"),
        ("pods", "portforward"),
        ("pods", "proxy"),
        ("pods", "ephemeralcontainers"),
        ("services", "proxy"),
        ("nodes", "proxy"),
    }
)
_BODIES = frozenset({"carrel.dev", "rbac.authorization.k8s.io", "networking.k8s.io"})
"""Groups of whose objects the record tells what was asked for."""
_SYSTEM = ("system:node:", "system:apiserver", "system:kube-", "system:serviceaccount:kube-system:")
_WORKSPACE = re.compile(r"ws-(?:[-a-z0-9]*-)?[0-9a-f]{12}")
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?")
_LONGEST_VALUE = 80
_DEEPEST = 6


class Stage(StrEnum):
    """When in a request's life an event was written; those that count."""

    STARTED = "ResponseStarted"
    COMPLETE = "ResponseComplete"
    PANIC = "Panic"


@dataclass(frozen=True)
class Selected:
    """An audit event that becomes a record."""

    audit_id: str
    stage: Stage
    event: Event


@dataclass(frozen=True)
class Skipped:
    """An audit event about something else."""


class NotAnEventError(ValueError):
    """A line is JSON and no audit event."""


def select(found: object, *, platform: str, now: datetime) -> Selected | Skipped:
    """Return what of an audit event is recorded.

    Args:
        found: The line, read as JSON (audit.k8s.io/v1 Event).
        platform: Namespace of the platform, whose processes write status all the time.
        now: Stands for a time that cannot be read.

    Raises:
        NotAnEventError: when it has no audit ID or no request.

    """
    if not isinstance(found, dict) or found.get("kind") != "Event":
        raise NotAnEventError("it is no audit event")
    audit_id = found.get("auditID")
    if not isinstance(audit_id, str) or not 0 < len(audit_id) <= 128:
        raise NotAnEventError("it has no audit ID")
    stage = _text(found.get("stage"))
    request = _Request.of(found)
    if stage not in {*Stage} or request is None:
        return Skipped()
    entered = (request.resource, request.subresource) in _ENTRANCES
    if not entered and not _governs(request, platform=platform):
        return Skipped()
    if not entered and stage == Stage.STARTED:
        return Skipped()  # what it was answered comes with the next stage
    detail = _detail(found, request, audit_id=audit_id)
    return Selected(
        audit_id,
        Stage(stage),
        Event(
            activity=Activity.POD_ENTERED if entered else Activity.ADMINISTRATOR_ACTED,
            time=_time(found, now=now),
            actor=request.user,
            grant=request.name if _is_grant(request) and _NAME.fullmatch(request.name) else None,
            workspace=request.namespace if _WORKSPACE.fullmatch(request.namespace) else None,
            detail=detail,
        ),
    )


@dataclass(frozen=True)
class _Request:
    user: str
    acting_as: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "_Request | None":
        about = _mapping(found.get("objectRef"))
        if not about:
            return None  # a path that is no resource
        name = _text(about.get("name")) or _text(
            _mapping(_mapping(found.get("responseObject")).get("metadata")).get("name")
        )
        return cls(
            user=_text(_mapping(found.get("user")).get("username")) or "(nobody)",
            acting_as=_text(_mapping(found.get("impersonatedUser")).get("username")),
            verb=_text(found.get("verb")),
            group=_text(about.get("apiGroup")),
            resource=_text(about.get("resource")),
            subresource=_text(about.get("subresource")),
            namespace=_text(about.get("namespace")),
            name=name,
        )


def _governs(request: _Request, *, platform: str) -> bool:
    if request.resource == "secrets" and request.namespace == platform:
        # Who reads the platform's keys is told as well; what is in them never.
        return not request.user.startswith(_SYSTEM)
    if request.verb not in _WRITES:
        return False
    if request.acting_as:
        return True
    if request.subresource == "status" and request.user.startswith(
        f"system:serviceaccount:{platform}:"
    ):
        return False  # what a process observed; what it did is in its own chain
    if request.group in _GOVERNING:
        return True
    governs = (request.group, request.resource) in _GOVERNING_RESOURCES
    return governs and not request.user.startswith(_SYSTEM)


def _detail(found: Mapping[str, Any], request: _Request, *, audit_id: str) -> dict[str, str | int]:
    resource = "/".join(part for part in (request.resource, request.subresource) if part)
    code = _mapping(found.get("responseStatus")).get("code")
    texts = {
        "verb": request.verb,
        "group": request.group,
        "resource": resource,
        "name": request.name,
        "namespace": request.namespace,
        "auditID": audit_id,
        "auditLevel": _text(found.get("level")),
        "actingAs": request.acting_as,
        **_asked(found, request),
    }
    detail: dict[str, str | int] = {key: text for key, text in texts.items() if text}
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 1000:
        detail["code"] = code
    return detail


def _asked(found: Mapping[str, Any], request: _Request) -> dict[str, str]:
    """Tell what a request asked for, of kinds that hold no secrets."""
    body = found.get("requestObject")
    if request.group not in _BODIES or not isinstance(body, (dict, list)):
        return {}
    try:
        digest = "sha256:" + hashlib.sha256(canonical(body)).hexdigest()
    except (ValueError, RecursionError):
        return {}
    parts = "; ".join(_flat(body, path="", depth=0))
    return {"changed": plain(parts), "bodyDigest": digest}


def _flat(value: object, *, path: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield f"{path}=…"
    elif isinstance(value, dict):
        for key in sorted(map(str, value)):
            # What everybody knows of an object and what only machines read says nothing.
            if path == "metadata" and key not in {"labels", "finalizers", "name"}:
                continue
            if path or key not in {"apiVersion", "kind", "status"}:
                yield from _flat(
                    value.get(key), path=f"{path}.{key}" if path else key, depth=depth + 1
                )
    elif isinstance(value, list):
        for number, each in enumerate(value[:64]):
            yield from _flat(each, path=f"{path}[{number}]", depth=depth + 1)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}={plain(text, at_most=_LONGEST_VALUE)}"


def _is_grant(request: _Request) -> bool:
    return (request.group, request.resource) == ("carrel.dev", "accessgrants")


def _time(found: Mapping[str, Any], *, now: datetime) -> datetime:
    for key in ("stageTimestamp", "requestReceivedTimestamp"):
        try:
            moment = datetime.fromisoformat(_text(found.get(key)))
        except ValueError:
            continue
        if moment.tzinfo is not None and moment.year >= 1970:
            return moment.astimezone(UTC)
    return now


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return plain(value, at_most=300) if isinstance(value, str) else ""
