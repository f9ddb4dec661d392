"""The certificate that a pod's notebook server made, as its own node reads it.

The server lies behind TLS with a key that never leaves its container. What it is known by is read
here, from the kubelet's folder of that pod UID, and told in a report: nobody between can change
it, and a process of the researcher's that takes the server's port has no such key.
"""

import logging
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from carrel.kinds.node_report import ReportedServer

log = logging.getLogger(__name__)

LARGEST = 2048
"""Bytes of a certificate that are read: the server's own is a third of it."""
VOLUME = "server"
FILE = "tls.crt"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CertificateError(Exception):
    """There is a file, but it holds no certificate; the message never quotes it."""


class ServerWatch:
    """Looks for the certificate of one pod until it is there; it is made once in a pod's life."""

    def __init__(self, uid: str, *, kubelet_root: Path) -> None:
        self._pod = kubelet_root / "pods" / uid
        self._certificate: str | None = None
        self._broken = False

    def look(self) -> bool:
        """Look once; tell whether the certificate was found by this look."""
        if self._certificate is not None or self._broken:
            return False
        try:
            self._certificate = read_certificate(self._pod)
        except CertificateError as error:
            # The server makes it whole before it has its name: it will not mend.
            self._broken = True
            log.warning("certificate not read", extra={"pod": self._pod.name, "error": str(error)})
        return self._certificate is not None

    def reported(self, *, address: str) -> ReportedServer | None:
        """Return what is told of the server; nothing until both halves are known."""
        if self._certificate is None or not address:
            return None
        return ReportedServer(address=address, certificate=self._certificate)


def read_certificate(pod: Path) -> str | None:
    """Return the certificate below the kubelet's folder of a pod, None while there is none.

    Nothing is followed, and nothing but a plain file of at most 2 KiB is read. Raises
    CertificateError.
    """
    folder = pod / "volumes" / "kubernetes.io~empty-dir" / VOLUME
    try:
        held = os.open(folder, _FOLDER)
    except OSError:
        return None
    try:
        descriptor = os.open(FILE, _PLAIN, dir_fd=held)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateError(f"certificate_is_no_plain_file: {error.strerror}") from error
    finally:
        os.close(held)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CertificateError("certificate_is_no_plain_file: it is special")
        data = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise CertificateError("certificate_is_too_large: it is larger than 2 KiB")
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise CertificateError("certificate_is_malformed: it is no X.509 in PEM") from error
    # Written anew: what stands beside the certificate in the file is not told.
    return certificate.public_bytes(Encoding.PEM).decode()
