"""The notebook server answers the gateway and its own probe, and nobody else."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from notebook_server.callers import Gateway, read_gateway, server_context
from notebook_server.certificate import CERTIFICATE, KEY, make_certificate

from support.authority import NOW, Authority

NAME = "carrel-gateway.carrel-system.svc"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the folder in which the server made its certificate."""
    folder = tmp_path / "server"
    folder.mkdir()
    make_certificate(folder, name="ws-lung-0123456789ab", now=NOW)
    return folder


@pytest.fixture
def platform(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "platform")


def speaks(own: Path, gateway: Gateway | None, shown: tuple[Path, Path] | None) -> bool:
    """Connect to a server as a caller who shows a certificate; tell whether it is answered."""
    context = server_context(own / CERTIFICATE, own / KEY, gateway=gateway)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with context.wrap_socket(ours, server_side=True) as connection:
                connection.sendall(connection.recv(64))
        except OSError:
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(own / CERTIFICATE)
    if shown is not None:
        client.load_cert_chain(*shown)
    try:
        with client.wrap_socket(theirs, server_hostname="ws-lung-0123456789ab") as connection:
            connection.sendall(b"hello")
            return connection.recv(64) == b"hello"
    except OSError:
        return False
    finally:
        thread.join()


def test_the_gateway_is_answered(own: Path, platform: Authority):
    assert speaks(own, Gateway(platform.path, NAME), platform.vouch(NAME))


def test_the_probe_is_answered_with_the_servers_own_key(own: Path, platform: Authority):
    shown = own / CERTIFICATE, own / KEY
    assert speaks(own, Gateway(platform.path, NAME), shown)
    assert speaks(own, None, shown)


def test_nobody_else_is(own: Path, platform: Authority, tmp_path: Path):
    gateway, other = Gateway(platform.path, NAME), Authority(tmp_path / "other")
    make_certificate(other.folder, name=NAME, now=NOW)
    callers = {
        "without a certificate": None,
        "another process of the platform": platform.vouch("carrel-ingest.carrel-system.svc"),
        "a name that only ends like it": platform.vouch(f"x.{NAME}"),
        "a wildcard": platform.vouch("*.carrel-system.svc"),
        "the name from another authority": other.vouch(NAME),
        "the name signed by itself": (other.folder / CERTIFICATE, other.folder / KEY),
        "the name, expired": platform.vouch(NAME, at=NOW - timedelta(days=1)),
    }
    assert {who: speaks(own, gateway, shown) for who, shown in callers.items()} == dict.fromkeys(
        callers, False
    )


def test_without_a_front_door_the_gateway_s_name_opens_nothing(own: Path, platform: Authority):
    assert not speaks(own, None, platform.vouch(NAME))


def test_a_key_is_new_at_each_start_and_for_this_user_alone(own: Path):
    first = (own / KEY).read_bytes(), (own / CERTIFICATE).read_bytes()
    make_certificate(own, name="ws-lung-0123456789ab", now=NOW)
    assert (own / KEY).read_bytes() != first[0]
    assert (own / CERTIFICATE).read_bytes() != first[1]
    assert (own / KEY).stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in own.iterdir()) == [CERTIFICATE, KEY]


def test_the_certificate_says_the_workspace_and_vouches_for_nobody(own: Path):
    made = x509.load_pem_x509_certificate((own / CERTIFICATE).read_bytes())
    common = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0]
    assert common.value == "ws-lung-0123456789ab"
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert len((own / CERTIFICATE).read_bytes()) <= 2048


def test_by_what_the_gateway_is_known_is_read_from_two_files(tmp_path: Path):
    assert read_gateway(tmp_path) is None
    (tmp_path / "gateway-name").write_text(f"{NAME}\n")
    assert read_gateway(tmp_path) == Gateway(tmp_path / "ca.crt", NAME)
