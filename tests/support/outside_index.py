"""A real package index on the pretend Internet: https, two packages, and what it was asked.

Run as `python -m support.outside_index FOLDER ADDRESS` inside the pretend Internet's namespace;
FOLDER holds `tls.crt` and `tls.key`, and gets `asked`, one line for each request.
"""

import asyncio
import ipaddress
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carrel.embedded import Instance
from support.package_index import PackageIndex, wheel

ADDRESS, PORT = "203.0.113.1", 443
LISTED, UNLISTED = "storyboard", "storyteller"
"""Both are there; a test's policy lists the first."""


@contextmanager
def outside_index(instance: Instance, folder: Path) -> Iterator[Path]:
    """Serve the index on the instance's pretend Internet; yield the file of what it was asked."""
    _certify(folder)
    command = [
        *("nsenter", f"--net=/run/netns/{instance.internet_netns}"),
        *(sys.executable, "-m", "support.outside_index", str(folder), ADDRESS),
    ]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=tests, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        try:
            yield folder / "asked"
        finally:
            server.kill()


def _certify(folder: Path) -> None:
    """Make a certificate for the address; it is its own authority."""
    now = datetime.now(UTC)  # noqa: TID251 - TLS takes the real time
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a site's index")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def _serve(folder: Path, address: str) -> None:
    index = PackageIndex()
    for name in (LISTED, UNLISTED):
        index.add(name, wheel(name))

    async def answer(request: web.Request) -> web.StreamResponse:
        with (folder / "asked").open("a") as asked:
            asked.write(f"{request.method} {request.path_qs}\n")
        return await index.answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    (folder / "asked").touch()
    await web.TCPSite(runner, address, PORT, ssl_context=context).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
