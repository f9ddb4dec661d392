"""What a node takes for a server's certificate: one plain, small, whole X.509, and nothing else."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.kinds.node_report import ReportedServer
from carrel.node.notebook_server import CertificateError, ServerWatch, read_certificate
from support.authority import Authority

UID = "0f0f0f0f-1111-2222-3333-444444444444"


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """Return the kubelet's folder of a pod whose server's memory is mounted."""
    pod = tmp_path / "pods" / UID
    (pod / "volumes/kubernetes.io~empty-dir/server").mkdir(parents=True)
    return pod


@pytest.fixture
def memory(pod: Path) -> Path:
    return pod / "volumes/kubernetes.io~empty-dir/server"


def make(memory: Path) -> str:
    made, _ = Authority(memory / f"authority-{len(list(memory.iterdir()))}").vouch("ws-a")
    made.replace(memory / "tls.crt")
    return (memory / "tls.crt").read_text()


def test_the_certificate_is_read_as_the_server_wrote_it(pod: Path, memory: Path):
    assert read_certificate(pod) is None
    assert make(memory) == read_certificate(pod)


def test_nothing_that_stands_beside_it_is_told(pod: Path, memory: Path):
    text = make(memory)
    (memory / "tls.crt").write_text(f"a patient's name\n{text}and more\n{text}")
    assert read_certificate(pod) == text


def too_large(place: Path, text: str) -> None:
    place.write_text(text + "#" * 2048)


def endless(place: Path, _: str) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 40)


def a_link(place: Path, text: str) -> None:
    elsewhere = place.with_name("elsewhere")
    elsewhere.write_text(text)
    place.symlink_to(elsewhere)


def a_pipe(place: Path, _: str) -> None:
    os.mkfifo(place)


def a_socket(place: Path, _: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(place.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/{place.name}")
        os.close(folder)


def a_folder(place: Path, _: str) -> None:
    place.mkdir()


def no_certificate(place: Path, _: str) -> None:
    place.write_text("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")


def no_text(place: Path, _: str) -> None:
    place.write_bytes(bytes(range(256)))


def nothing(place: Path, _: str) -> None:
    place.touch()


@pytest.mark.parametrize(
    "plant",
    [
        too_large,
        endless,
        a_link,
        a_pipe,
        a_socket,
        a_folder,
        no_certificate,
        no_text,
        nothing,
    ],
)
def test_what_is_no_certificate_is_refused_and_holds_nobody_up(
    plant: Callable[[Path, str], None], pod: Path, memory: Path
):
    text = make(memory)
    (memory / "tls.crt").unlink()
    plant(memory / "tls.crt", text)
    with pytest.raises(CertificateError, match="certificate_is_"):
        read_certificate(pod)


def test_a_memory_that_is_a_link_is_not_entered(pod: Path, memory: Path, tmp_path: Path):
    make(memory)
    memory.rename(tmp_path / "elsewhere")
    memory.symlink_to(tmp_path / "elsewhere")
    assert read_certificate(pod) is None


def test_a_server_is_told_of_once_both_halves_are_known(pod: Path, memory: Path):
    watch = ServerWatch(UID, kubelet_root=pod.parents[1])
    assert not watch.look()
    assert watch.reported(address="10.0.0.9") is None
    text = make(memory)
    assert watch.look()
    assert watch.reported(address="") is None
    told = ReportedServer(address="10.0.0.9", certificate=text)
    assert watch.reported(address="10.0.0.9") == told


def test_a_certificate_that_changes_afterwards_is_not_looked_at(pod: Path, memory: Path):
    watch = ServerWatch(UID, kubelet_root=pod.parents[1])
    text = make(memory)
    assert watch.look()
    make(memory)
    assert not watch.look()
    told = watch.reported(address="10.0.0.9")
    assert told is not None
    assert told.certificate == text
