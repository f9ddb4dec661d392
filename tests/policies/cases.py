"""The cases beside each policy: who does what, and whether the API server lets them.

`cases/object.yaml` is what a policy's cases start from. A case names `user`, `operation`
(CREATE or UPDATE), perhaps `extra` of the user's token, and `change`: a merge patch. For an
UPDATE, `storedBy` (with `storedExtra`) stored the object, after the merge patch `stored`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from carrel.cluster import Answer, Cluster
from carrel.kinds import KINDS
from carrel.kinds.resource import API_VERSION, Scope

POLICIES = Path(__file__).parents[2] / "policies"
_PLURALS = {kind.resource.kind: kind.resource for kind in KINDS}


class Outcome(StrEnum):
    """What the API server did."""

    LET = "Let"
    DENIED = "Denied"
    FAILED = "Failed"


@dataclass(frozen=True)
class Result:
    """What the API server answered."""

    outcome: Outcome
    message: str


@dataclass(frozen=True)
class Person:
    """In whose name a request is made."""

    user: str
    extra: Mapping[str, str] = field(default_factory=dict)


_OPERATOR = Person("system:serviceaccount:carrel-system:carrel-operator")


@dataclass(frozen=True)
class Case:
    """One attempt."""

    policy: str
    name: str
    verdict: str
    body: Mapping[str, Any]
    base: Mapping[str, Any]


def cases() -> list[Case]:
    """Return every case, named `<policy>/<allow or deny>/<case>`."""
    return [
        Case(
            policy=path.parents[2].name,
            name=f"{path.parents[2].name}/{path.parent.name}/{path.stem}",
            verdict=path.parent.name,
            body=yaml.safe_load(path.read_text()),
            base=yaml.safe_load((path.parents[1] / "object.yaml").read_text()),
        )
        for path in sorted(POLICIES.glob("*/cases/*/*.yaml"))
    ]


async def send(cluster: Cluster, case: Case) -> Result:
    """Make the attempt as a dry run; what had to be stored for it is deleted again."""
    change, dry = case.body.get("change", {}), "?dryRun=All"
    person = Person(user=case.body["user"], extra=case.body.get("extra", {}))
    if case.body["operation"] == "CREATE":
        made = merged(case.base, change)
        return _result(await _as(cluster, person, "POST", _collection(made) + dry, made))
    stored = merged(case.base, case.body.get("stored", {}))
    owner = Person(user=case.body["storedBy"], extra=case.body.get("storedExtra", {}))
    await _forget(cluster, stored, keepers=(owner, _OPERATOR))
    answer = await _as(cluster, owner, "POST", _collection(stored), stored)
    if answer.status != 201:
        raise AssertionError(f"{case.name}: cannot be stored: {answer.body.decode()}")
    try:
        return _result(await _as(cluster, person, "PATCH", _path(stored) + dry, change))
    finally:
        await _forget(cluster, stored, keepers=(owner, _OPERATOR))


def merged(base: Any, patch: Any) -> Any:
    """Return `base` after a merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    kept = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merged(kept.get(key), value)
    return kept


async def _as(cluster: Cluster, person: Person, method: str, path: str, body: Any) -> Answer:
    kind = "merge-patch+json" if method == "PATCH" else "json"
    headers = {
        "Content-Type": f"application/{kind}",
        "Accept": "application/json",
        "Impersonate-User": person.user,
        # Rights are not what is tried here: with all rights, only the policy can refuse.
        "Impersonate-Group": "system:masters",
    }
    for key, value in person.extra.items():
        headers[f"Impersonate-Extra-{quote(key, safe='.-')}"] = value
    return await cluster.request(method, path, headers=headers, body=json.dumps(body).encode())


async def _forget(cluster: Cluster, stored: Any, *, keepers: tuple[Person, ...]) -> None:
    await cluster.request("DELETE", _path(stored))
    released = {"metadata": {"finalizers": []}}
    for keeper in keepers:
        await _as(cluster, keeper, "PATCH", _path(stored), released)


def _collection(obj: Mapping[str, Any]) -> str:
    resource = _PLURALS[obj["kind"]]
    place = (
        f"namespaces/{obj['metadata']['namespace']}/" if resource.scope is Scope.NAMESPACED else ""
    )
    return f"/apis/{API_VERSION}/{place}{resource.plural}"


def _path(obj: Mapping[str, Any]) -> str:
    return f"{_collection(obj)}/{obj['metadata']['name']}"


def _result(answer: Answer) -> Result:
    if answer.status < 300:
        return Result(Outcome.LET, "")
    message = json.loads(answer.body).get("message", "")
    denied = answer.status == 403 and "ValidatingAdmissionPolicy" in message
    return Result(Outcome.DENIED if denied else Outcome.FAILED, message)
