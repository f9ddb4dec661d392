"""Certificates and kubeconfigs of an instance: who is who, and never `system:masters` for people.

Three authorities: one signs clients and servers of Kubernetes, one the front proxy (else any
client certificate could speak for other users), one etcd (else any pod on the host network could).
"""

import base64
import ipaddress
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carrel.embedded.instance import API_SERVER_PORT, Instance, Person

_LIFE: Final = timedelta(days=365)
_RENEW: Final = timedelta(days=30)
_SERVICE_IP: Final = "10.96.0.1"
_AUTHORITIES: Final = ("ca", "front-proxy-ca", "etcd-ca")


@dataclass(frozen=True, kw_only=True)
class _Leaf:
    name: str
    common_name: str
    organisation: str = ""
    names: tuple[str, ...] = ()
    authority: str = "ca"


@dataclass(frozen=True, kw_only=True)
class _Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make(instance: Instance) -> None:
    """Write every key, certificate and kubeconfig that is missing or ends within a month."""
    pki = instance.keys
    pki.mkdir(mode=0o700, exist_ok=True)
    instance.kubeconfig().parent.mkdir(mode=0o700, exist_ok=True)
    now = datetime.fromtimestamp(time.time(), UTC)
    if not _lasts(pki / "ca.crt", now=now):
        for old in (*pki.iterdir(), *instance.kubeconfig().parent.iterdir()):
            # Tokens of pods stay good: the key that signs them has no end.
            if old.name != "service-accounts.key":
                old.unlink()
    signers = {name: _authority(pki, name, now=now) for name in _AUTHORITIES}
    for leaf in _leaves(instance):
        if not (pki / f"{leaf.name}.crt").exists():
            _sign(pki, leaf, signer=signers[leaf.authority], now=now)
    if not (pki / "service-accounts.key").exists():
        _write_key(pki / "service-accounts.key", ec.generate_private_key(ec.SECP256R1()))
    for name in ("controller-manager", "scheduler", "proxy", "kubelet", "cilium", "volumes"):
        server = f"https://127.0.0.1:{API_SERVER_PORT}"
        _write_kubeconfig(pki / f"{name}.conf", pki=pki, leaf=name, server=server)
    for person in Person:
        _write_kubeconfig(
            instance.kubeconfig(person), pki=pki, leaf=person.value, server=instance.server
        )


def _leaves(instance: Instance) -> tuple[_Leaf, ...]:
    service = "kubernetes.default.svc"
    local = "127.0.0.1"
    people = [
        _Leaf(name=person.value, common_name=f"oidc:{person.subject}")
        for person in Person
        if person is not Person.ADMIN
    ]
    return (
        _Leaf(
            name="apiserver",
            common_name="kube-apiserver",
            names=(
                *("kubernetes", "kubernetes.default", service, f"{service}.cluster.local"),
                *("localhost", local, _SERVICE_IP, instance.node_ip),
            ),
        ),
        _Leaf(
            name="kubelet",
            common_name=f"system:node:{instance.name}",
            organisation="system:nodes",
            names=(instance.name, local, instance.node_ip),
        ),
        _Leaf(name="admin", common_name="carrel-admin", organisation="system:masters"),
        _Leaf(name="controller-manager", common_name="system:kube-controller-manager"),
        _Leaf(name="scheduler", common_name="system:kube-scheduler"),
        _Leaf(name="proxy", common_name="system:kube-proxy"),
        _Leaf(name="cilium", common_name="carrel-embedded:cilium"),
        _Leaf(name="volumes", common_name="carrel-embedded:volumes"),
        _Leaf(name="apiserver-kubelet", common_name="kube-apiserver-kubelet-client"),
        _Leaf(name="front-proxy", common_name="front-proxy-client", authority="front-proxy-ca"),
        _Leaf(name="etcd", common_name="etcd", names=(local,), authority="etcd-ca"),
        _Leaf(name="apiserver-etcd", common_name="kube-apiserver", authority="etcd-ca"),
        *people,
    )


def _lasts(certificate: Path, *, now: datetime) -> bool:
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    return read.not_valid_after_utc - now > _RENEW


def _authority(pki: Path, name: str, *, now: datetime) -> _Signer:
    certificate, key = pki / f"{name}.crt", pki / f"{name}.key"
    if not certificate.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"carrel-embedded-{name}")
        builder = _builder(subject, issuer=subject, key=made, now=now).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        _write_key(key, made)
        certificate.write_bytes(_pem(builder.sign(made, hashes.SHA256())))
    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key} holds no elliptic-curve key")
    return _Signer(certificate=x509.load_pem_x509_certificate(certificate.read_bytes()), key=loaded)


def _sign(pki: Path, leaf: _Leaf, *, signer: _Signer, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(leaf.common_name, leaf.organisation)
    builder = _builder(subject, issuer=signer.certificate.subject, key=key, now=now)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if leaf.names:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        alternatives = x509.SubjectAlternativeName([_alternative(n) for n in leaf.names])
        builder = builder.add_extension(alternatives, critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    _write_key(pki / f"{leaf.name}.key", key)
    (pki / f"{leaf.name}.crt").write_bytes(_pem(builder.sign(signer.key, hashes.SHA256())))


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
    )


def _subject(common_name: str, organisation: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


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


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        # kube-apiserver reads the keys of service accounts in this form only for elliptic curves.
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    _write_secret(path, pem)


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _write_kubeconfig(path: Path, *, pki: Path, leaf: str, server: str) -> None:
    inline = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "carrel",
        "clusters": [
            {
                "name": "carrel",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _base64(pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": leaf,
                "user": {
                    "client-certificate-data": _base64(pki / f"{leaf}.crt"),
                    "client-key-data": _base64(pki / f"{leaf}.key"),
                },
            }
        ],
        "contexts": [{"name": "carrel", "context": {"cluster": "carrel", "user": leaf}}],
    }
    _write_secret(path, yaml.safe_dump(inline).encode())


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
