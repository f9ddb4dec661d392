"""What the demo's identity provider is told: secrets made once, the realm made anew from them.

No secret that exists is replaced: a client that holds the old one would be locked out, and a
person would not know the new one.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carrel.cluster import JSON, Cluster
from carrel.flows.platform_namespace import PlatformNamespace, data_of
from carrel.render.realm import Client, RealmAddresses, RealmPerson, realm

CLIENTS = "carrel-identity-clients"
"""Secret with one entry per client."""
PEOPLE = "carrel-identity-people"
"""Secret with one entry per person: the first password."""
REALM_SECRET = "carrel-identity-realm"  # noqa: S105 - its name
REALM_KEY = "realm.json"
_SECRET_BYTES = 32
_PASSWORD_BYTES = 15


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody who gets a password."""

    username: str
    """What the person types."""
    subject: str
    """The `sub` that grants name."""
    administers: bool
    """Whether the person may disable others."""


async def ensure_realm(
    cluster: Cluster, *, namespace: str, addresses: RealmAddresses, people: Sequence[Account]
) -> tuple[str, ...]:
    """Make what is missing and renew the realm where it differs; return what was done.

    Raises
    ------
    ClusterError
        If the API server refuses or does not answer.
    """
    place = PlatformNamespace(cluster=cluster, name=namespace)
    clients, done = await _ensure_entries(
        place, CLIENTS, names=[each.value for each in Client], size=_SECRET_BYTES
    )
    passwords, made = await _ensure_entries(
        place, PEOPLE, names=[each.username for each in people], size=_PASSWORD_BYTES
    )
    described = realm(
        addresses,
        secrets={each: clients[each.value] for each in Client},
        people=[
            RealmPerson(
                username=each.username,
                subject=each.subject,
                password=passwords[each.username],
                administers=each.administers,
            )
            for each in people
        ],
    )
    return (*done, *made, *await _ensure_described(place, described))


async def _ensure_entries(
    place: PlatformNamespace, name: str, *, names: Sequence[str], size: int
) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return every entry of a Secret, made where it is missing."""
    secret = await place.read("Secret", name)
    present = {key: data_of(secret, key).decode() for key in names} if secret else {}
    missing = [key for key in names if not present.get(key)]
    if not missing:
        return present, ()
    kept = {key: data_of(secret, key) for key in secret.get("data", {})} if secret else {}
    entries = kept | {key: secrets.token_urlsafe(size).encode() for key in missing}
    await place.write(place.secret(name, entries, of_type="Opaque"), over=secret)
    done = (f"made secrets of {', '.join(missing)} (Secret {name})",)
    return {key: entries[key].decode() for key in names}, done


async def _ensure_described(place: PlatformNamespace, described: JSON) -> Sequence[str]:
    text = json.dumps(described, indent=1, sort_keys=True).encode()
    secret = await place.read("Secret", REALM_SECRET)
    if secret is not None and data_of(secret, REALM_KEY) == text:
        return ()
    await place.write(place.secret(REALM_SECRET, {REALM_KEY: text}, of_type="Opaque"), over=secret)
    return (f"described the realm (Secret {REALM_SECRET})",)
