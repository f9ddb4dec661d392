"""Certificates as a TLS library reads them: what they are for, how long, and by whom."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from carrel.flows.certificates import (
    AUTHORITY_LIFE,
    SERVER_LIFE,
    Pair,
    make_authority,
    make_server,
    make_signing_key,
    public_key_of,
    renewal_is_due,
    serves,
    split_bundle,
)

NOW = datetime(2027, 1, 1, tzinfo=UTC)
NAMES = ("carrel-ingest.carrel-system.svc", "carrel-ingest")


@pytest.fixture(scope="module")
def authority() -> Pair:
    """Make an authority."""
    return make_authority(now=NOW)


@pytest.fixture(scope="module")
def server(authority: Pair) -> Pair:
    """Make a server certificate of that authority."""
    return make_server(NAMES, authority=authority, now=NOW)


def _verify(server: Pair, *, authority: Pair, name: str, at: datetime) -> None:
    store = Store(x509.load_pem_x509_certificates(authority.certificate))
    verifier = PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(name))
    verifier.verify(x509.load_pem_x509_certificate(server.certificate), [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("after", [timedelta(0), SERVER_LIFE - timedelta(minutes=1)])
def test_a_client_that_trusts_the_authority_accepts_the_server(
    authority: Pair, server: Pair, name: str, after: timedelta
):
    """From the first moment to the last, under each of its names."""
    _verify(server, authority=authority, name=name, at=NOW + after)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("carrel-ingest.elsewhere.svc", timedelta(0)),
        (NAMES[0], SERVER_LIFE + timedelta(minutes=1)),
        (NAMES[0], -timedelta(hours=1)),
    ],
)
def test_a_client_refuses_another_name_and_another_time(
    authority: Pair, server: Pair, name: str, after: timedelta
):
    """A certificate is for its names and its time."""
    with pytest.raises(VerificationError):
        _verify(server, authority=authority, name=name, at=NOW + after)


def test_a_client_refuses_a_server_of_another_authority(server: Pair):
    """Two installations do not trust each other."""
    with pytest.raises(VerificationError):
        _verify(server, authority=make_authority(now=NOW), name=NAMES[0], at=NOW)


def test_an_authority_signs_no_authorities(authority: Pair):
    """Whoever steals a server key cannot make certificates."""
    read = x509.load_pem_x509_certificate(authority.certificate)
    constraints = read.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints == x509.BasicConstraints(ca=True, path_length=0)


@pytest.mark.parametrize(
    ("age", "due"),
    [
        (timedelta(0), False),
        (SERVER_LIFE * 2 / 3 - timedelta(hours=1), False),
        (SERVER_LIFE * 2 / 3 + timedelta(hours=1), True),
        (SERVER_LIFE * 2, True),
    ],
)
def test_renewal_is_due_at_two_thirds_of_a_life(server: Pair, age: timedelta, due: bool):  # noqa: FBT001 - the expected answer of a table
    """Early enough that a renewal may fail for weeks."""
    assert renewal_is_due(server.certificate, now=NOW + age) is due


def test_a_server_never_outlives_its_authority(authority: Pair):
    """Else it would be refused before its own end."""
    late = NOW + AUTHORITY_LIFE - timedelta(days=1)
    made = make_server(NAMES, authority=authority, now=late)
    read = x509.load_pem_x509_certificate(made.certificate)
    assert read.not_valid_after_utc == NOW + AUTHORITY_LIFE


@pytest.mark.parametrize(
    "broken",
    [
        Pair(certificate=b"", key=b""),
        Pair(
            certificate=b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", key=b""
        ),
    ],
)
def test_damage_is_seen_and_never_served(authority: Pair, broken: Pair):
    """A half-written Secret is made anew."""
    assert serves(broken, NAMES, authority=authority.certificate) is False


def test_a_pair_serves_only_when_all_of_it_fits(authority: Pair, server: Pair):
    """Key, names and authority."""
    other = make_server(NAMES, authority=authority, now=NOW)
    elsewhere = make_authority(now=NOW)
    answers = (
        serves(server, NAMES, authority=authority.certificate),
        serves(server, NAMES[:1], authority=authority.certificate),
        serves(server, NAMES, authority=elsewhere.certificate),
        serves(
            Pair(certificate=server.certificate, key=other.key),
            NAMES,
            authority=authority.certificate,
        ),
    )
    assert answers == (True, False, False, False)


def test_a_bundle_falls_apart_into_its_certificates(authority: Pair, server: Pair):
    """In the order in which they stand; nothing comes of what is no bundle."""
    whole = authority.certificate + server.certificate
    assert split_bundle(whole) == (authority.certificate, server.certificate)
    assert split_bundle(b"no bundle") == ()


def test_the_public_half_verifies_what_the_signing_key_signed():
    """The pair that datasets are proven with."""
    private = make_signing_key()
    key = serialization.load_pem_private_key(private, password=None)
    public = serialization.load_pem_public_key(public_key_of(private))
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(key.sign(b"a manifest"), b"a manifest")


def test_another_kind_of_key_is_refused(authority: Pair):
    """Signatures are Ed25519 and nothing else."""
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        public_key_of(authority.key)


def test_a_pair_does_not_print_its_key(authority: Pair):
    """Tracebacks and logs show values."""
    assert "PRIVATE" not in repr(authority)
