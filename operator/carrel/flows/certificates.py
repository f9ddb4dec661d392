"""Certificates and keys of the platform's own authority.

One ECDSA P-256 authority signs short-lived server certificates; one Ed25519
key signs dataset manifests. PEM in, PEM out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "AUTHORITY_LIFE",
    "SERVER_LIFE",
    "Pair",
    "Use",
    "make_authority",
    "make_server",
    "make_signing_key",
    "public_key_of",
    "renewal_is_due",
    "serves",
    "split_bundle",
]

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
_BACKDATED = timedelta(minutes=5)
"""Clocks of nodes differ; a certificate from the future is refused."""


class Use(StrEnum):
    """What a certificate is shown for."""

    SERVE = "Serve"
    """To those who connect."""
    SERVE_AND_CALL = "ServeAndCall"
    """Also to servers that ask who connects."""


_PURPOSES = {
    Use.SERVE: [ExtendedKeyUsageOID.SERVER_AUTH],
    Use.SERVE_AND_CALL: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its private key."""

    certificate: bytes
    """X.509 certificate, PEM."""
    key: bytes = field(repr=False)
    """Private key, PKCS #8 in PEM, not encrypted."""


def _private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def make_authority(*, now: datetime) -> Pair:
    """Make a certificate authority that may sign servers and nothing deeper."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The name holds the time, so that two authorities in one bundle are told apart.
    name = _name(f"Carrel {now:%Y-%m-%dT%H:%M:%SZ}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_private_pem(key)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_server(
    names: Sequence[str], *, authority: Pair, now: datetime, use: Use = Use.SERVE
) -> Pair:
    """Make a server certificate for DNS `names`, the first of which is the common name."""
    signer = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key; make the authority anew")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(min(now + SERVER_LIFE, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_PURPOSES[use]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return Pair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_private_pem(key)
    )


def renewal_is_due(certificate: bytes, *, now: datetime) -> bool:
    """Tell whether two thirds of a certificate's life are over.

    Raises
    ------
    ValueError
        If `certificate` is no certificate in PEM.
    """
    read = x509.load_pem_x509_certificate(certificate)
    life = read.not_valid_after_utc - read.not_valid_before_utc
    return now >= read.not_valid_before_utc + life * 2 / 3


def serves(pair: Pair, names: Sequence[str], *, authority: bytes, use: Use = Use.SERVE) -> bool:
    """Tell whether a pair fits together, bears exactly `names` and `use`, signed by `authority`."""
    try:
        read = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
        read.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = list(read.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    fits = read.public_key() == key.public_key() and purposes == _PURPOSES[use]
    return fits and found.get_values_for_type(x509.DNSName) == [*names]


def split_bundle(bundle: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a PEM bundle one by one; nothing for what is no bundle."""
    try:
        found = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return ()
    return tuple(one.public_bytes(serialization.Encoding.PEM) for one in found)


def make_signing_key() -> bytes:
    """Make an Ed25519 private key, PKCS #8 in PEM."""
    return _private_pem(ed25519.Ed25519PrivateKey.generate())


def public_key_of(private: bytes) -> bytes:
    """Return the public half of an Ed25519 private key, SubjectPublicKeyInfo in PEM.

    Raises
    ------
    ValueError
        If `private` is no Ed25519 private key in PEM.
    """
    key = serialization.load_pem_private_key(private, password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ValueError("the key is not an Ed25519 key")  # noqa: TRY004 - the input, not its type
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
