"""Doing something inside a running instance: commands, kubectl, and images without a registry."""

import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from carrel.embedded.children import environment
from carrel.embedded.config import CONTAINERD_SOCKET
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.instance import Instance, Person, first_process

_PINNED: Final = "io.cri-containerd.pinned=pinned"


def enter(instance: Instance) -> tuple[str, ...]:
    """Words that, put before a command, run it inside the instance."""
    pid = str(first_process(instance))
    wanted = [f"{k}={v}" for k, v in environment(instance).items()]
    return (
        *("nsenter", "--target", pid, "--mount", "--pid", "--net", "--uts", "--ipc"),
        *("--wdns=/", "--", "env", "-i", f"TERM={os.environ.get('TERM', 'dumb')}", *wanted),
    )


def run_inside(
    instance: Instance, command: Sequence[str], *, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command inside the instance and return what it said; never raises for its exit."""
    return subprocess.run(
        [*enter(instance), *command], input=text, capture_output=True, text=True, check=False
    )


def processes(instance: Instance) -> dict[str, dict[str, int]]:
    """Read what the supervisor says of each process: `running` (0 or 1) and `restarts`."""
    try:
        known = json.loads((instance.state / "children.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: {k: int(v) for k, v in facts.items()} for name, facts in known.items()}


def kubectl(
    instance: Instance, *arguments: str, person: Person = Person.ADMIN, text: str = ""
) -> str:
    """Run kubectl on the host as this person; returns its output or refuses with its error."""
    command = [
        str(instance.programs / "kubectl"),
        f"--kubeconfig={instance.kubeconfig(person)}",
        *arguments,
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmbeddedError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def load_image(instance: Instance, archive: Path, *, name: str) -> str:
    """Import an OCI archive under `name` and pin it; returns `name@sha256:...`, which pods use.

    Quick when the instance has it already. A tag in `name` is kept as a second name.
    """
    base = _without_tag(name)
    reference = f"{base}@{_digest(archive)}"
    if reference not in image_names(instance):
        # `ctr` opens the file inside the instance, where some folders are private: hand it over.
        with archive.open("rb") as file:
            _ctr_stream(instance, base, file.fileno())
        # With a tag in the archive, containerd names the tag and the index, not the manifest.
        tag = _manifest(archive).get("annotations", {}).get("org.opencontainers.image.ref.name")
        if tag is not None and reference not in image_names(instance):
            _ctr(instance, "images", "tag", "--force", f"{base}:{tag}", reference)
    if reference not in image_names(instance):
        raise EmbeddedError(
            f"{archive} was imported but {reference} is not among the images; is it an OCI "
            "archive with one image (`buildah push IMAGE oci-archive:FILE`)?"
        )
    _ctr(instance, "images", "label", reference, _PINNED)
    if base != name:
        _ctr(instance, "images", "tag", "--force", reference, name)
        _ctr(instance, "images", "label", name, _PINNED)
    return reference


def image_names(instance: Instance) -> frozenset[str]:
    """Names of all images that the instance holds."""
    return frozenset(_ctr(instance, "images", "ls", "--quiet").split())


def _ctr(instance: Instance, *arguments: str) -> str:
    done = run_inside(instance, [*_CTR, *arguments])
    if done.returncode:
        raise EmbeddedError(f"`ctr {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


_CTR: Final = ("ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io")


def _ctr_stream(instance: Instance, base: str, descriptor: int) -> None:
    command = [*enter(instance), *_CTR, "images", "import", "--digests", "--base-name", base, "-"]
    done = subprocess.run(command, stdin=descriptor, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmbeddedError(f"The image {base} could not be imported: {done.stderr.strip()}")


def _without_tag(name: str) -> str:
    head, _, last = name.rpartition("/")
    return f"{head}/{last.split(':', 1)[0]}" if head else last.split(":", 1)[0]


def _digest(archive: Path) -> str:
    """Digest of the one manifest that the archive's index names."""
    return str(_manifest(archive)["digest"])


def _manifest(archive: Path) -> dict[str, Any]:
    """Return what the archive's index says of its one manifest."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("index.json")
            index: dict[str, Any] = json.load(member) if member is not None else {}
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        first_line = str(error).partition("\n")[0].rstrip(":")
        raise EmbeddedError(f"{archive} is not an OCI archive: {first_line}.") from error
    manifests = index.get("manifests", [])
    if len(manifests) != 1:
        raise EmbeddedError(f"{archive} holds {len(manifests)} images; load archives with one.")
    entry: dict[str, Any] = manifests[0]
    return entry
