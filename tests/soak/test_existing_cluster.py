"""The demo on a cluster that was there before, with images from a registry."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import Instance, Person, find_instance
from support.registry import serving

pytestmark = [pytest.mark.root, pytest.mark.cluster]

_CARREL = Path(sys.executable).parent / "carrel"
_NAME, _PORT = "existing", "18471"


@pytest.fixture
def existing() -> Iterator[Instance]:
    """Return a Kubernetes without Carrel and without any of its images."""
    subprocess.run([_CARREL, "cluster", "up", "--instance", _NAME, "--port", _PORT], check=True)
    try:
        yield find_instance(_NAME)
    finally:
        subprocess.run([_CARREL, "cluster", "down", "--instance", _NAME], check=True)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost."""
    pair = (tmp_path / "tls.crt", tmp_path / "tls.key")
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-out", str(pair[0]), "-keyout", str(pair[1])]
    subprocess.run([*request.split(), *names.split(), *files], check=True, capture_output=True)
    return pair


def test_the_demo_runs_on_a_cluster_that_was_there_before(
    existing: Instance, certificate: tuple[Path, Path]
):
    """Images are pushed and pulled by digest, the story runs, and the platform goes again."""
    with serving(
        certificate[0], key=certificate[1], also=(f"/run/netns/{existing.netns}",)
    ) as registry:
        environment = {
            **os.environ,
            "SSL_CERT_FILE": str(certificate[0]),
            "KUBECONFIG": str(existing.kubeconfig(Person.ADMIN)),
            "CLUSTER": "current",
            "REGISTRY": registry.host,
            "PATH": f"{os.environ['PATH']}:{existing.programs}",
        }
        told = subprocess.run(
            [_CARREL, "demo"], env=environment, check=True, capture_output=True, text=True
        ).stdout
        assert "drew a CT series" in told
        assert "carrel platform uninstall" in told
        assert "make down" not in told
        subprocess.run([_CARREL, "platform", "uninstall"], env=environment, check=True)
