"""A pushed image is in the registry under the digest that is printed."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from carrel.embedded.images import ImageError, ImageName, Places, build, push
from support.registry import serving

pytestmark = [pytest.mark.root, pytest.mark.image]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Make a certificate for localhost that programs started from here trust."""
    pair = (tmp_path / "tls.crt", tmp_path / "tls.key")
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-out", str(pair[0]), "-keyout", str(pair[1])]
    subprocess.run([*request.split(), *names.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    return pair


def test_what_is_printed_is_what_the_registry_holds(places: Places, certificate: tuple[Path, Path]):
    built = build([ImageName.BASE], places=places, progress=lambda _: None)
    with serving(certificate[0], key=certificate[1]) as registry:
        (pushed,) = push(built, registry=f"{registry.host}/site/", places=places)
        ((name, manifest),) = registry.manifests.items()
        held = {f"sha256:{blob}" for blob in registry.blobs}
    assert name == f"site/carrel/base:{built[0].content}"
    digest = sha256(manifest).hexdigest()
    assert pushed.reference == f"{registry.host}/site/carrel/base@sha256:{digest}"
    document = json.loads(manifest)
    asked = {part["digest"] for part in (document["config"], *document["layers"])}
    assert asked == held


def test_a_registry_that_is_not_there_is_one_clear_error(places: Places):
    built = build([ImageName.BASE], places=places, progress=lambda _: None)
    with pytest.raises(ImageError, match="buildah push must succeed"):
        push(built, registry="localhost:1", places=places)
