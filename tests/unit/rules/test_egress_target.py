"""Destinations as people write them."""

import pytest

from carrel.rules.egress_attempt import Attempt, Connection, NameLookup, PackageRequest
from carrel.rules.egress_target import TargetError, parse_target


def name(text: str) -> NameLookup:
    return NameLookup(name=text, record_type="A", own_name="workspace")


def at(address: str, port: int | None, protocol: str = "tcp") -> Connection:
    return Connection(protocol=protocol, address=address, port=port)


@pytest.mark.parametrize(
    ("text", "attempt"),
    [
        ("pypi:numpy", PackageRequest(index="pypi", project="numpy", filename=None)),
        ("pypi:Zope.I", PackageRequest(index="pypi", project="Zope.I", filename=None)),
        ("pypi:numpy/numpy-1.0.tar.gz", PackageRequest(
            index="pypi", project="numpy", filename="numpy-1.0.tar.gz")),
        ("example.org", name("example.org")),
        ("example.org.", name("example.org.")),
        ("example.org:443", name("example.org")),
        ("https://example.org/a?b#c", name("example.org")),
        ("localhost:8888", name("localhost")),
        ("8.8.8.8", at("8.8.8.8", None)),
        ("8.8.8.8:443", at("8.8.8.8", 443)),
        ("2001:db8::1", at("2001:db8::1", None)),
        ("[2001:db8::1]:443", at("2001:db8::1", 443)),
        ("tcp://192.0.2.1:22", at("192.0.2.1", 22)),
        ("UDP://192.0.2.1:53", at("192.0.2.1", 53, "udp")),
        ("icmp://192.0.2.1", at("192.0.2.1", None, "icmp")),
        ("https://192.0.2.1/x", at("192.0.2.1", 443)),
    ],
)  # fmt: skip
def test_this_is_read_as_an_attempt(text: str, attempt: Attempt) -> None:
    assert parse_target(text, own_name="workspace") == attempt


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":443", "a b", "8.8.8.8:99999", "127.1", "[::1", "[example.org]:1", "gopher://a",
        "tcp://", "example..org", "a" * 64, "x\n", "[]", "\u202eexample.org", "http://a@b/",
    ],
)  # fmt: skip
def test_this_is_no_destination_and_the_refusal_is_readable(text: str) -> None:
    with pytest.raises(TargetError) as refused:
        parse_target(text, own_name="")
    assert str(refused.value).isprintable()
    assert str(refused.value).endswith(".")
