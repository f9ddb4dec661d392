"""Package sources of this machine, given to builds as secrets so that no image holds them."""

import ast
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from carrel.embedded.images.buildah import Secret

RELEASE = "bookworm"
"""The Debian release of every image."""

_CA_IN_BUILD = "/run/ca.pem"
_APT_KEPT = re.compile(
    r"^Acquire::(https?::Proxy|https?::Pipeline-Depth|Check-Valid-Until|Check-Date|Retries|ForceIPv4)\b"
)
_PIP_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_PIP_LINE = re.compile(r"^(?P<where>[^=]+)\.(?P<key>[a-z-]+)=(?P<value>['\"].*)$")


def apt_sources() -> tuple[str, ...]:
    """Return this machine's one-line sources of Debian `RELEASE`, empty on any other system.

    Asked for by code name: a suite may be an alias such as `oldstable`, which moves.
    """
    shape = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    listed = _output(["apt-get", "indextargets", "--format", shape, "Created-By: Packages"])
    return _source_lines(listed)


def mirror(sources: tuple[str, ...]) -> str | None:
    """Return the address that the release itself comes from; None leaves debootstrap its own."""
    for line in sources:
        _, address, suite, _ = line.split(maxsplit=3)
        if suite == RELEASE:
            return address
    return None


def write_secrets(folder: Path, *, sources: tuple[str, ...]) -> tuple[Secret, ...]:
    """Write what builds need of this machine's settings into `folder`; only what is present.

    The files may hold credentials of a private mirror: only the caller may read `folder`.
    """
    authority = _authority(os.environ)
    contents = {
        "apt.sources": "".join(f"{line}\n" for line in sources),
        "apt.conf": _apt_settings(_output(["apt-config", "dump"])),
        "pip.conf": _pip_settings(_pip_listing(), with_authority=authority is not None),
        "ca.pem": authority.read_text() if authority else "",
        "maven.xml": _text_of(Path.home() / ".m2" / "settings.xml"),
    }
    return tuple(_write(folder / name, content) for name, content in contents.items() if content)


def _source_lines(listed: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for line in listed.splitlines():
        address, codename, component = line.split(maxsplit=2)
        if codename.split("-")[0] == RELEASE and component == "main":
            found[f"deb {address} {codename} main"] = None
    return tuple(found)


def _apt_settings(dump: str) -> str:
    kept = [line for line in dump.splitlines() if _APT_KEPT.match(line) and '""' not in line]
    return "".join(f"{line}\n" for line in kept)


def _pip_settings(listing: str, *, with_authority: bool) -> str:
    kept = {key: value for key, value in _pip_pairs(listing) if key in _PIP_KEPT}
    if with_authority:
        kept["cert"] = _CA_IN_BUILD
    if not kept:
        return ""
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in kept.items())


def _pip_pairs(listing: str) -> Iterator[tuple[str, str]]:
    for line in listing.splitlines():
        if match := _PIP_LINE.match(line):
            value = str(ast.literal_eval(match["value"]))
            yield match["key"], value.replace("\n", "\n  ")


def _pip_listing() -> str:
    return _output([sys.executable, "-m", "pip", "config", "list"])


def _authority(environment: Mapping[str, str]) -> Path | None:
    """Return this machine's bundle of certificate authorities: images have none of their own."""
    named = (environment.get(key) for key in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    for candidate in (*named, ssl.get_default_verify_paths().cafile):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


def _text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _write(path: Path, content: str) -> Secret:
    path.write_text(content)
    return Secret(name=path.name, path=path)
