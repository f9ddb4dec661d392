"""An authority that vouches for names: who is, and who is not, to be taken for the gateway."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from carrel.flows.clock import SystemClock

NOW = SystemClock().now().astimezone(UTC)


class Authority:
    """An authority that vouches for names.

    A new one, or the one whose certificate and key (PEM) are given as `pair`.
    """

    def __init__(self, folder: Path, *, pair: tuple[bytes, bytes] | None = None) -> None:
        folder.mkdir()
        self.folder = folder
        self.path = folder / "ca.crt"
        if pair is not None:
            key = load_pem_private_key(pair[1], password=None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._key = key
            self._name = x509.load_pem_x509_certificate(pair[0]).subject
            self.path.write_bytes(pair[0])
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Carrel")])
        made = self._certificate(self._name, self._key.public_key(), [], ca=True)
        self.path.write_bytes(made.public_bytes(Encoding.PEM))

    def vouch(self, *names: str, at: datetime = NOW) -> tuple[Path, Path]:
        """Return certificate and key for some DNS names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        made = self._certificate(subject, key.public_key(), list(names), ca=False, at=at)
        paths = self.folder / f"{names[0]}.crt", self.folder / f"{names[0]}.key"
        paths[0].write_bytes(made.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: list[str],
        *,
        ca: bool,
        at: datetime = NOW,
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - timedelta(hours=1))
            .not_valid_after(at + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            made = made.add_extension(san, critical=False)
        return made.sign(self._key, hashes.SHA256())
