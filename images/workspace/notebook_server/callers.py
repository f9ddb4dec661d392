"""Who may speak to the notebook server: the gateway, and the probe that holds its own key.

Any certificate of the platform's authority would pass the handshake by itself, so the name in it
is looked at, too, before a byte of a request is read.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUTHORITY, NAME = "ca.crt", "gateway-name"
"""Files of the front door's ConfigMap: who vouches for the gateway, and its name."""


@dataclass(frozen=True)
class Gateway:
    """By what the gateway is known."""

    authority: Path
    """Certificate of the platform's authority, PEM."""
    name: str
    """DNS name that the gateway's certificate carries."""


def read_gateway(folder: Path) -> Gateway | None:
    """Return by what the gateway is known, None at a site without a front door."""
    name = folder / NAME
    if not name.exists():
        return None
    return Gateway(folder / AUTHORITY, name.read_text().strip())


def is_admitted(peer: dict[str, Any], *, der: bytes, own: bytes, gateway: Gateway | None) -> bool:
    """Tell whether a caller whose chain was verified may speak.

    Parameters
    ----------
    peer
        What `ssl.SSLSocket.getpeercert` says.
    der
        The caller's certificate, DER.
    own
        The server's own certificate, DER: only the server and its probe can read its key.
    gateway
        By what the gateway is known; without one only the probe may speak.
    """
    if der == own:
        return True
    names = [value for kind, value in peer.get("subjectAltName", ()) if kind == "DNS"]
    return gateway is not None and gateway.name in names


def server_context(certificate: Path, key: Path, *, gateway: Gateway | None) -> ssl.SSLContext:
    """Return a context in which a handshake succeeds for the gateway and the probe alone."""
    own = ssl.PEM_cert_to_DER_cert(certificate.read_text())

    class AdmittedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - Python's
            super().do_handshake(block)
            peer, der = self.getpeercert(), self.getpeercert(binary_form=True)
            if not peer or not der or not is_admitted(peer, der=der, own=own, gateway=gateway):
                raise ssl.SSLError(ssl.SSL_ERROR_SSL, "caller_is_not_the_gateway")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.sslsocket_class = AdmittedSocket
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    if gateway is not None:
        context.load_verify_locations(gateway.authority)
    return context
