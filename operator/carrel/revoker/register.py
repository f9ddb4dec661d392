"""What the revoker knows, and whom it condemns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import ValidationError

from carrel.cluster.refs import JSON
from carrel.kinds import AccessGrant
from carrel.kinds.grant import GrantState
from carrel.kinds.resource import Metadata
from carrel.render.labels import GRANT_UID, WORKSPACE
from carrel.rules.scope import effective_end, effective_start

PATIENCE = timedelta(seconds=3)
"""A pod whose deletion was asked for with more time than this left is asked again, with less."""


class Reason(StrEnum):
    """Why a pod may not run."""

    SUSPENDED = "Suspended"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    NOT_YET_VALID = "NotYetValid"
    DELETED = "GrantDeleted"
    MISSING = "GrantMissing"
    MALFORMED = "GrantMalformed"


@dataclass(frozen=True, kw_only=True)
class Condemned:
    """A pod that may not run."""

    namespace: str
    """Its namespace."""
    name: str
    """Its name."""
    uid: str
    """Its UID."""
    grant_uid: str
    """UID of the grant that it was made for."""
    workspace: str | None
    """Workspace that it belongs to."""
    reason: Reason
    """Why it may not run."""


class Register:
    """Grants and pods as last told; a grant that is not known here has been revoked."""

    def __init__(self) -> None:
        self._grants: dict[str, AccessGrant | None] = {}
        self._pods: dict[str, Metadata] = {}
        self._versions: dict[str, str] = {}
        self._asked: dict[str, datetime] = {}

    def put_grant(self, obj: JSON) -> None:
        """Remember a grant; one that cannot be read counts as not in force."""
        uid = self._newer(obj)
        if uid is None:
            return
        try:
            self._grants[uid] = AccessGrant.model_validate(obj)
        except ValidationError:
            self._grants[uid] = None

    def put_pod(self, obj: JSON) -> None:
        """Remember a pod."""
        uid = self._newer(obj)
        if uid is not None:
            self._pods[uid] = Metadata.model_validate(obj["metadata"])

    def remove(self, obj: JSON) -> None:
        """Forget a grant or a pod that is gone."""
        self._forget(obj["metadata"]["uid"])

    def versions(self) -> Mapping[str, str]:
        """Return what is known now, for `merge`."""
        return dict(self._versions)

    def merge(
        self, *, grants: Iterable[JSON], pods: Iterable[JSON], before: Mapping[str, str]
    ) -> None:
        """Take in full lists that were begun when `before` was known.

        What a watch told while the lists were on their way is newer and stays.
        """
        present = set()
        for obj in grants:
            present.add(obj["metadata"]["uid"])
            self.put_grant(obj)
        for obj in pods:
            present.add(obj["metadata"]["uid"])
            self.put_pod(obj)
        for uid, version in before.items():
            if uid not in present and self._versions.get(uid) == version:
                self._forget(uid)

    def _newer(self, obj: JSON) -> str | None:
        """Return the UID of an object unless a newer version of it is known."""
        uid, version = obj["metadata"]["uid"], obj["metadata"].get("resourceVersion", "")
        known = self._versions.get(uid, "")
        if version.isdecimal() and known.isdecimal() and int(version) < int(known):
            return None
        self._versions[uid] = version
        return str(uid)

    def _forget(self, uid: str) -> None:
        self._versions.pop(uid, None)
        self._grants.pop(uid, None)
        self._pods.pop(uid, None)
        self._asked.pop(uid, None)

    @property
    def pods(self) -> int:
        """How many pods are known."""
        return len(self._pods)

    def condemned(self, *, now: datetime) -> Iterator[Condemned]:
        """Yield every pod that may not run and is not about to end."""
        for uid, pod in self._pods.items():
            if pod.deletion_timestamp and pod.deletion_timestamp - now <= PATIENCE:
                continue
            if uid in self._asked and now - self._asked[uid] <= PATIENCE:
                continue  # done, and the watch will tell of it
            grant_uid = pod.labels.get(GRANT_UID, "")
            reason = self._reason(grant_uid, now=now)
            if reason is not None:
                yield Condemned(
                    namespace=pod.namespace or "",
                    name=pod.name,
                    uid=uid,
                    grant_uid=grant_uid,
                    workspace=pod.labels.get(WORKSPACE),
                    reason=reason,
                )

    def asked(self, uid: str, *, now: datetime) -> None:
        """Remember that the deletion of a pod was asked for."""
        self._asked[uid] = now

    def grant_name(self, uid: str) -> str | None:
        """Return the name of a grant, None where it is not known."""
        grant = self._grants.get(uid)
        return grant.metadata.name if grant else None

    def next_end(self, *, now: datetime) -> datetime | None:
        """Return when the next grant ends by the clock."""
        ends = (effective_end(each.spec.expires) for each in self._grants.values() if each)
        return min((end for end in ends if end > now), default=None)

    def _reason(self, grant_uid: str, *, now: datetime) -> Reason | None:
        if grant_uid not in self._grants:
            return Reason.MISSING
        grant = self._grants[grant_uid]
        if grant is None:
            return Reason.MALFORMED
        return _reason_of(grant, now=now)


def _reason_of(grant: AccessGrant, *, now: datetime) -> Reason | None:
    if grant.metadata.deletion_timestamp is not None:
        return Reason.DELETED
    if now >= effective_end(grant.spec.expires):
        return Reason.EXPIRED
    if now < effective_start(grant.spec.not_before):
        return Reason.NOT_YET_VALID
    match grant.spec.state:
        case GrantState.SUSPENDED:
            return Reason.SUSPENDED
        case GrantState.REVOKED:
            return Reason.REVOKED
        case GrantState.ACTIVE:
            return None
