"""What a workspace may try: connect to an address, look up a name, ask for a package.

The texts come from whoever tries, so nothing here trusts them: they are kept as they were
written, and shown with every character that could mislead a reader made visible.
"""

import re
from dataclasses import dataclass

_SHOWN = 120
"""Characters of an attempt's own words that a sentence repeats."""
_PROJECT = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_FILE = re.compile(r"[a-z0-9][a-z0-9._+!-]*", re.IGNORECASE | re.ASCII)
_ENDINGS = (".whl", ".tar.gz", ".zip")
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A packet or connection to an address."""

    protocol: str
    """Protocol, such as tcp, udp or icmp."""
    address: str
    """IPv4 or IPv6 address as text."""
    port: int | None
    """Port, where the protocol has ports."""


@dataclass(frozen=True, kw_only=True)
class NameLookup:
    """A question to the resolver."""

    name: str
    """The name asked for, escaped where it is not plain text; a final dot may be there."""
    record_type: str
    """Type of the question, such as A or TXT."""
    own_name: str
    """Host name of the workspace that asks; empty where it is not known."""


@dataclass(frozen=True, kw_only=True)
class PackageRequest:
    """A request to the mirror: the page of a package, or one of its files."""

    index: str
    """Name of the index, such as pypi."""
    project: str
    """Name of the package as it was asked for."""
    filename: str | None
    """The file, absent for the package's page."""


Attempt = Connection | NameLookup | PackageRequest


def normalised_project(name: str) -> str | None:
    """Return a package's name as PEP 503 normalises it; None for what no index may list."""
    if len(name) > _LONGEST or not _PROJECT.fullmatch(name):
        return None
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(filename: str) -> str | None:
    """Return a wheel's or sdist's file name, without the suffix of its metadata (PEP 658).

    None for any other kind of file and for names that could be taken for a path.
    """
    file = filename.removesuffix(".metadata")
    if len(filename) > _LONGEST or not _FILE.fullmatch(filename) or not file.endswith(_ENDINGS):
        return None
    return file


def belongs_to(filename: str, *, project: str) -> bool:
    """Tell whether a file's own name says that it is one of the normalised `project`.

    A wheel's name has the project before its first hyphen (PEP 427). Names of older sdists are
    ambiguous, so any hyphen before a digit may end the project's name, as installers read them.
    """
    file = distribution_of(filename)
    if file is None:
        return False
    if file.endswith(".whl"):
        return normalised_project(file.partition("-")[0]) == project
    return any(
        normalised_project(file[: hyphen.start()]) == project
        for hyphen in re.finditer(r"-(?=v?[0-9])", file)
    )


def visible(text: str) -> str:
    """Return what an attempt says of itself, cut and with nothing in it that hides or moves."""
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    if cut.isprintable():
        return cut
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}" for character in cut
    )
