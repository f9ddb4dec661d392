"""Trust between the platform's processes: made where it is missing, renewed before it ends.

Nothing that is good is replaced, and a signing key is never replaced at all: every
dataset that it signed would lose its proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carrel.cluster import JSON, Cluster
from carrel.flows.certificates import (
    Pair,
    Use,
    make_authority,
    make_server,
    make_signing_key,
    public_key_of,
    renewal_is_due,
    serves,
    split_bundle,
)
from carrel.flows.clock import Clock
from carrel.flows.platform_namespace import PlatformNamespace, data_of

__all__ = ["Certificates", "TrustError", "ensure_trust"]

AUTHORITY = "carrel-ca"
INGEST = "carrel-ingest"
LEDGER = "carrel-ledger"
GATEWAY = "carrel-gateway"
FRONT_DOOR = "carrel-front-door"
SIGNING_KEY = "signing.key"
PUBLIC_KEY = "public.pem"
_TLS = "kubernetes.io/tls"
_KEPT_AUTHORITIES = 3
"""Longest bundle: the present authority and those whose certificates may still be in use."""


class Certificates(StrEnum):
    """Who makes certificates; the signing key is made here either way."""

    MADE = "Made"
    """The platform's own authority."""
    CERT_MANAGER = "CertManager"
    """cert-manager, by objects of the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SigningKey:
    """A key that is made once and never replaced."""

    secret: str
    published: str
    """ConfigMap with its public half."""
    what: str
    signed: str
    """What would lose its proof."""
    anew: str
    """What would have to be done again without it."""


_OF_DATASETS = _SigningKey(
    secret="carrel-ingest-signing",  # noqa: S106 - the name of a Secret, not its content
    published="carrel-ingest-public-key",
    what="datasets",
    signed="datasets were signed",
    anew="publish every dataset again",
)
_OF_LOG = _SigningKey(
    secret="carrel-ledger-signing",  # noqa: S106 - as above
    published="carrel-ledger-public-key",
    what="the central log",
    signed="the log was signed",
    anew="begin a log with an origin of its own; what was signed stays provable with the old key",
)


class TrustError(Exception):
    """Trust cannot be made without losing something; the message says what to do."""


async def ensure_trust(
    cluster: Cluster,
    *,
    namespace: str,
    certificates: Certificates,
    clock: Clock,
    services: Sequence[str] = (),
    front_door: str = "",
) -> tuple[str, ...]:
    """Make what is missing and renew what is due; return what was done, in sentences.

    `services` are those that need a certificate beside the ingest's; each gets its pair in the
    Secret `<service>-tls`. `front_door` is the host that browsers ask; it and every label below
    get one pair in the Secret `carrel-front-door-tls`.

    Raises
    ------
    TrustError
        If going on would lose the proof of published datasets, or what is there is damaged.
    ClusterError
        If the API server refuses or does not answer.
    """
    place = PlatformNamespace(cluster=cluster, name=namespace)
    done = [*await _ensure_signing_key(place, _OF_DATASETS)]
    if LEDGER in services:
        done += await _ensure_signing_key(place, _OF_LOG)
    if certificates is Certificates.MADE:
        now = clock.now()
        authority, made = await _ensure_authority(place, now=now)
        done += made
        for service in (INGEST, *services):
            names = (f"{service}.{place.name}.svc", service, f"{service}.{place.name}")
            # Workspaces ask the gateway who it is.
            use = Use.SERVE_AND_CALL if service == GATEWAY else Use.SERVE
            done += await _ensure_server(
                place, service, names=names, use=use, authority=authority, now=now
            )
        if front_door:
            hosts = (front_door, f"*.{front_door}")
            done += await _ensure_server(
                place, FRONT_DOOR, names=hosts, use=Use.SERVE, authority=authority, now=now
            )
    return tuple(done)


async def _ensure_signing_key(place: PlatformNamespace, key: _SigningKey) -> Sequence[str]:
    secret = await place.read("Secret", key.secret)
    published = await place.read("ConfigMap", key.published)
    if secret is None and published is not None:
        raise TrustError(
            f"Secret {key.secret} is gone, but {key.signed} with it. Restore it from a "
            f"backup; or delete ConfigMap {key.published} too, and {key.anew}."
        )
    done: list[str] = []
    if secret is None:
        secret = place.secret(key.secret, {SIGNING_KEY: make_signing_key()}, of_type="Opaque")
        await place.write(secret | {"immutable": True}, over=None)
        done.append(f"made the signing key of {key.what} (Secret {key.secret})")
    try:
        public = public_key_of(data_of(secret, SIGNING_KEY))
    except ValueError as error:
        raise TrustError(
            f"Secret {key.secret} holds no Ed25519 key under {SIGNING_KEY}: {error}. "
            "Restore it from a backup."
        ) from error
    if published is None:
        public_map = place.config_map(key.published, {PUBLIC_KEY: public}) | {"immutable": True}
        await place.write(public_map, over=None)
        done.append(f"published its public half (ConfigMap {key.published})")
    elif published.get("data", {}).get(PUBLIC_KEY, "").strip() != public.decode().strip():
        raise TrustError(
            f"ConfigMap {key.published} is not the public half of Secret {key.secret}: one of "
            "them was replaced. Restore the pair from a backup."
        )
    return done


async def _ensure_authority(
    place: PlatformNamespace, *, now: datetime
) -> tuple[Pair, Sequence[str]]:
    secret = await place.read("Secret", AUTHORITY)
    bundle = await place.read("ConfigMap", AUTHORITY)
    known = split_bundle((bundle or {}).get("data", {}).get("ca.crt", "").encode())
    done: list[str] = []
    pair = None if secret is None else _pair(secret)
    try:
        good = pair is not None and not renewal_is_due(pair.certificate, now=now)
    except ValueError as error:
        raise TrustError(
            f"Secret {AUTHORITY} holds no certificate: {error}. Delete it; a new one is made."
        ) from error
    present = pair if pair is not None and good else make_authority(now=now)
    if present.certificate not in known:
        # The bundle goes first: a server certificate must never be newer than who trusts it.
        kept = (present.certificate, *(known or ((pair.certificate,) if pair else ())))
        text = b"".join(kept[:_KEPT_AUTHORITIES])
        await place.write(place.config_map(AUTHORITY, {"ca.crt": text}), over=bundle)
        done.append(f"published the authority (ConfigMap {AUTHORITY})")
    if present is not pair:
        data = {"tls.crt": present.certificate, "tls.key": present.key}
        await place.write(place.secret(AUTHORITY, data, of_type=_TLS), over=secret)
        done.append(f"made an authority (Secret {AUTHORITY})")
    return present, done


async def _ensure_server(
    place: PlatformNamespace,
    service: str,
    *,
    names: Sequence[str],
    use: Use,
    authority: Pair,
    now: datetime,
) -> Sequence[str]:
    tls = f"{service}-tls"
    secret = await place.read("Secret", tls)
    if secret is not None:
        pair = _pair(secret)
        good = serves(pair, names, authority=authority.certificate, use=use)
        if good and not renewal_is_due(pair.certificate, now=now):
            return ()
    fresh = make_server(names, authority=authority, now=now, use=use)
    data = {"tls.crt": fresh.certificate, "tls.key": fresh.key, "ca.crt": authority.certificate}
    await place.write(place.secret(tls, data, of_type=_TLS), over=secret)
    return (f"made a certificate for {names[0]} (Secret {tls})",)


def _pair(secret: JSON) -> Pair:
    return Pair(certificate=data_of(secret, "tls.crt"), key=data_of(secret, "tls.key"))
