"""Two instances of these tests' own, side by side: one with each network."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import Instance, Network, find_instance, lifecycle, load_image, oci

ENFORCING, OPEN = "test-enforcing", "test-open"
PORTS = {ENFORCING: 18443, OPEN: 18444}


def start(name: str, *, network: Network) -> Instance:
    """Bring an instance up, whatever an interrupted run has left."""
    lifecycle.up(name, port=PORTS[name], with_network=network, note=lambda _step, _seconds: None)
    return find_instance(name)


@pytest.fixture(scope="session")
def probe_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an image of the program in probe.c."""
    folder = tmp_path_factory.mktemp("probe")
    source = Path(__file__).with_name("probe.c")
    flags = ["-O1", "-static", "-Wall", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(folder / "probe"), str(source)], check=True)
    oci.write_archive(folder / "probe.tar", program=folder / "probe", user=65532)
    return folder / "probe.tar"


@pytest.fixture(scope="session")
def enforcing(probe_archive: Path) -> Iterator[Instance]:
    """Run an instance with Cilium."""
    lifecycle.down(ENFORCING, data=lifecycle.Data.REMOVE)
    made = start(ENFORCING, network=Network.CILIUM)
    load_image(made, probe_archive, name="localhost/test/probe:1")
    yield made
    lifecycle.down(ENFORCING, data=lifecycle.Data.REMOVE)


@pytest.fixture(scope="session")
def unenforced(probe_archive: Path) -> Iterator[Instance]:
    """Run an instance with the bridge."""
    lifecycle.down(OPEN, data=lifecycle.Data.REMOVE)
    made = start(OPEN, network=Network.BRIDGE)
    load_image(made, probe_archive, name="localhost/test/probe:1")
    yield made
    lifecycle.down(OPEN, data=lifecycle.Data.REMOVE)
