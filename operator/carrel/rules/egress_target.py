"""A destination as a person writes it, read as the attempt that it would be."""

import re
from ipaddress import ip_address

from carrel.rules.egress_attempt import Attempt, Connection, NameLookup, PackageRequest, visible

__all__ = ["TargetError", "parse_target"]

_PACKAGE = re.compile(
    r"(?P<index>[a-z0-9]([-a-z0-9]*[a-z0-9])?):(?P<project>[^/:]*[^/:0-9][^/:]*)(/(?P<file>[^/]+))?"
)
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<rest>[^/?#]*)([/?#].*)?", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"(\[(?P<v6>[^\]]*)\]|(?P<plain>[^:\[\]]*))(:(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE | re.ASCII
)
_SCHEMES = {
    "tcp": ("tcp", None),
    "udp": ("udp", None),
    "icmp": ("icmp", None),
    "http": ("tcp", 80),
    "https": ("tcp", 443),
    "ftp": ("tcp", 21),
    "ssh": ("tcp", 22),
}
_FORMS = (
    "Write a package (pypi:numpy), a name (example.org), an address (8.8.8.8:443, "
    "[2001:db8::1]:443) or a URL (tcp://192.0.2.1:22, https://example.org/)."
)


class TargetError(ValueError):
    """What was written names no destination; the message says which forms there are."""


def parse_target(text: str, *, own_name: str) -> Attempt:
    """Read a destination.

    A name is a lookup first, whatever port follows it: where the lookup is refused, there is no
    address to connect to.

    Raises
    ------
    TargetError
        If `text` has none of the forms.
    """
    package = _PACKAGE.fullmatch(text)
    if package:
        return PackageRequest(
            index=package["index"], project=package["project"], filename=package["file"]
        )
    protocol, port, rest = "tcp", None, text
    url = _URL.fullmatch(text)
    if url:
        if url["scheme"].lower() not in _SCHEMES:
            raise TargetError(f"{visible(url['scheme'])!r} is no protocol known here. {_FORMS}")
        protocol, port = _SCHEMES[url["scheme"].lower()]
        rest = url["rest"]
    return _host(rest, protocol=protocol, port=port, own_name=own_name)


def _host(text: str, *, protocol: str, port: int | None, own_name: str) -> Attempt:
    if _is_address(text):
        return Connection(protocol=protocol, address=text, port=port)
    found = _HOST.fullmatch(text)
    if found is None:
        raise TargetError(f"{visible(text)!r} names no destination. {_FORMS}")
    if found["port"] is not None:
        port = int(found["port"])
        if port > 65_535:
            raise TargetError(f"{port} is no port: ports end at 65535.")
    host = found["plain"] if found["v6"] is None else found["v6"]
    if _is_address(host):
        return Connection(protocol=protocol, address=host, port=port)
    if found["v6"] is not None or not _NAME.fullmatch(host) or not re.search(r"[a-zA-Z]", host):
        raise TargetError(f"{visible(text)!r} names no destination. {_FORMS}")
    return NameLookup(name=host, record_type="A", own_name=own_name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
