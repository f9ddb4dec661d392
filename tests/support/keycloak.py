"""The identity provider's own image, run without a cluster: its containers one after the other."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import aiohttp

from carrel.embedded.images import ImageName, Places, build, find_source
from carrel.embedded.images.build import REPOSITORY
from carrel.embedded.images.buildah import Buildah
from carrel.flows.certificates import make_authority, make_server
from carrel.flows.clock import SystemClock

_USER = 65532
_PATIENCE = 300


@dataclass
class Keycloak:
    """One pod of the identity provider; its volume outlives its processes."""

    volume: Path
    """What the pod mounts."""
    port: int
    """Port of its Service, on loopback."""
    command: list[str]
    """How a program of the image is run."""
    authority: Path
    """Who signed its certificate, PEM."""
    management: int
    """Port of its health."""
    server: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def origin(self) -> str:
        """Origin inside."""
        return f"https://localhost:{self.port}"

    @property
    def public(self) -> str:
        """Origin that browsers see."""
        return f"https://id.carrel.localhost:{self.port}"

    def settle(self, realm: Mapping[str, Any]) -> str:
        """Run the first container; return what it said."""
        described = self.volume / "realm" / "realm.json"
        described.write_text(json.dumps(realm))
        done = subprocess.run(
            [*self.command, "python3", "-m", "settle", "/realm/realm.json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Run the second container and wait until it is ready."""
        environment = {
            "KC_HOSTNAME": self.public,
            "KC_HOSTNAME_BACKCHANNEL_DYNAMIC": "true",
            "KC_HTTPS_CERTIFICATE_FILE": "/tls/tls.crt",
            "KC_HTTPS_CERTIFICATE_KEY_FILE": "/tls/tls.key",
            "KC_HTTPS_PORT": str(self.port),
            "KC_HTTP_HOST": "127.0.0.1",
            "KC_HTTP_MANAGEMENT_PORT": str(self.management),
            "KC_HTTP_MANAGEMENT_SCHEME": "http",
            "KC_TRUSTSTORE_PATHS": "/tls/ca.crt",
        }
        told = [f"{key}={value}" for key, value in environment.items()]
        server = ["/opt/keycloak/bin/kc.sh", "start", "--optimized", "--import-realm"]
        with (self.volume / "server.log").open("ab") as log:
            self.server = subprocess.Popen(
                [*self.command, "env", *told, *server],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def stop(self) -> None:
        """Kill it, as a node that goes away does."""
        if self.server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None

    def _wait(self) -> None:
        ends = time.monotonic() + _PATIENCE
        url = f"http://127.0.0.1:{self.management}/health/ready"
        while time.monotonic() < ends:
            assert self.server is not None
            assert self.server.poll() is None, (self.volume / "server.log").read_text()[-3000:]
            try:
                with urlopen(url, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (URLError, TimeoutError, ConnectionError):
                subprocess.run(["sleep", "0.5"], check=True)
        raise AssertionError((self.volume / "server.log").read_text()[-3000:])

    async def disable(self, subject: str) -> None:
        """Disable a person and end every session, as an administrator does."""
        realm = f"{self.origin}/realms/carrel/protocol/openid-connect"
        secret = "secret-of-control"  # noqa: S105 - of the test's realm
        asked = {"grant_type": "client_credentials", "client_id": "carrel-control"}
        person = f"{self.origin}/admin/realms/carrel/users/{subject}"
        connector = aiohttp.TCPConnector(ssl=self.context())
        async with aiohttp.ClientSession(connector=connector, connector_owner=False) as session:
            async with session.post(
                f"{realm}/token", data={**asked, "client_secret": secret}
            ) as answer:
                token = (await answer.json())["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with session.put(person, json={"enabled": False}, headers=headers) as answer:
                assert answer.status == 204, await answer.text()
            async with session.post(f"{person}/logout", headers=headers) as answer:
                assert answer.status == 204, await answer.text()
        await connector.close(abort_ssl=True)
        await asyncio.sleep(0)

    def context(self) -> ssl.SSLContext:
        """Return what trusts it and nothing else."""
        return ssl.create_default_context(cafile=self.authority)


@contextmanager
def keycloak() -> Iterator[Keycloak]:
    """Make a pod that never ran, on ports of its own; end and forget it afterwards."""
    places = Places.of_environment(os.environ, source=find_source(Path(__file__)))
    (image,) = build([ImageName.IDENTITY], places=places, progress=lambda _: None)
    buildah = Buildah.at(places)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carrel-keycloak-")))
        for name in ("data", "realm", "tls"):
            (root / name).mkdir()
        os.chown(root / "data", _USER, _USER)
        _write_certificate(root / "tls")
        reference = f"{REPOSITORY}/{ImageName.IDENTITY}:{image.content}"
        container = buildah._do("from", "--pull=never", reference).strip()
        stack.callback(buildah._do, "rm", container)
        pod = Keycloak(
            volume=root,
            port=free_port(),
            management=free_port(),
            authority=root / "tls" / "ca.crt",
            command=buildah._command(
                "run",
                "--isolation=chroot",
                f"--user={_USER}:{_USER}",
                f"--volume={root}/data:/opt/keycloak/data",
                f"--volume={root}/realm:/realm:ro",
                f"--volume={root}/tls:/tls:ro",
                "--env=JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1 -Xmx448m",
                "--env=HOME=/tmp",
                container,
                "--",
            ),
        )
        stack.callback(pod.stop)
        yield pod


def _write_certificate(folder: Path) -> None:
    now = SystemClock().now()
    authority = make_authority(now=now)
    pair = make_server(("localhost", "id.carrel.localhost"), authority=authority, now=now)
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "tls.crt").write_bytes(pair.certificate)
    key = folder / "tls.key"
    key.write_bytes(pair.key)
    os.chown(key, _USER, _USER)
    key.chmod(0o400)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
