"""Credentials of the demo's people on a cluster that is already there.

The cluster's own signer (`kubernetes.io/kube-apiserver-client`) makes a client certificate
per person, so that admission sees different people and no key leaves this machine.
"""

import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carrel.cluster import Cluster, Ref
from carrel.cluster.refs import CERTIFICATE_SIGNING_REQUEST
from carrel.flows.clock import SystemClock, wait_until

_DAYS = 7
_PATIENCE = timedelta(seconds=30)


class DemoPeopleError(Exception):
    """The cluster does not make client certificates; the message says what to do."""


async def issue_kubeconfig(cluster: Cluster, *, username: str, template: str, target: Path) -> None:
    """Write a kubeconfig to `target` that speaks as `username`, on the cluster of `template`.

    Raises
    ------
    DemoPeopleError
        If the cluster's signer does not answer within 30 s.
    ClusterError
        If the API server refuses: approving such requests takes a cluster administrator.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"carrel-demo-{hash_of(username)}"
    await cluster.delete(Ref(CERTIFICATE_SIGNING_REQUEST, name))
    body = _signing_request(key, username=username)
    created = await cluster.create(
        {
            "apiVersion": CERTIFICATE_SIGNING_REQUEST.api_version,
            "kind": CERTIFICATE_SIGNING_REQUEST.kind,
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(body).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "expirationSeconds": _DAYS * 24 * 3600,
                "usages": ["client auth"],
            },
        }
    )
    created["status"] = {
        "conditions": [
            {
                "type": "Approved",
                "status": "True",
                "reason": "CarrelDemo",
                "message": "A person of the demo, for seven days.",
            }
        ]
    }
    answer = await cluster.request(
        "PUT",
        f"{CERTIFICATE_SIGNING_REQUEST.path(name=name)}/approval",
        headers={"Content-Type": "application/json"},
        body=json.dumps(created).encode(),
    )
    if answer.status >= 300:
        raise DemoPeopleError(
            f"The cluster refused to approve a certificate for {username} (HTTP {answer.status}): "
            "use a kubeconfig of a cluster administrator."
        )
    certificate = await _signed(cluster, name=name, username=username)
    config = _kubeconfig(template, key=key, certificate=certificate)
    await asyncio.to_thread(_write_private, target, config)
    await cluster.delete(Ref(CERTIFICATE_SIGNING_REQUEST, name))


def hash_of(username: str) -> str:
    """Return ten hexadecimal digits that stand for `username` in an object's name."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(username.encode())
    return digest.finalize().hex()[:10]


def _signing_request(key: ec.EllipticCurvePrivateKey, *, username: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, username)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def _signed(cluster: Cluster, *, name: str, username: str) -> str:
    clock = SystemClock()
    ends = clock.now() + _PATIENCE
    while clock.now() < ends:
        found = await cluster.get(Ref(CERTIFICATE_SIGNING_REQUEST, name)) or {}
        certificate = found.get("status", {}).get("certificate")
        if certificate:
            return str(certificate)
        await wait_until(clock.now() + timedelta(milliseconds=200), clock=clock)
    raise DemoPeopleError(
        f"The cluster signed no client certificate for {username} within 30 s; its "
        "controller manager needs --cluster-signing-cert-file."
    )


def _kubeconfig(template: str, *, key: ec.EllipticCurvePrivateKey, certificate: str) -> str:
    config: dict[str, Any] = yaml.safe_load(template)
    current = config["current-context"]
    context = next(item["context"] for item in config["contexts"] if item["name"] == current)
    cluster = next(item for item in config["clusters"] if item["name"] == context["cluster"])
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    user = {
        "client-certificate-data": certificate,
        "client-key-data": base64.b64encode(pem).decode(),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "person", "user": user}],
            "contexts": [
                {"name": "person", "context": {"cluster": cluster["name"], "user": "person"}}
            ],
            "current-context": "person",
        }
    )


def _write_private(target: Path, text: str) -> None:
    target.touch(mode=0o600)
    target.write_text(text, encoding="utf-8")
