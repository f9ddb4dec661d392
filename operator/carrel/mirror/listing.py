"""The page of a package: read from an index (PEP 503, PEP 691), written for installers.

What an index says is input of a stranger. Only files that are named like files of the package,
that carry a SHA-256 and that lie at a host the site has named are kept; everything else of the
page is dropped.
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Annotated, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import override

from carrel.rules.egress_attempt import belongs_to

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
_MOST_FILES = 100_000
_MOST_WORDS = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Words = Annotated[str, StringConstraints(max_length=_MOST_WORDS)]


class PageError(Exception):
    """What an index sent is no page of a package; the message says why."""


class File(BaseModel):
    """One file of a package."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    filename: Annotated[str, StringConstraints(max_length=200)]
    """Its name, a wheel's or a source archive's."""
    url: Annotated[str, StringConstraints(max_length=_MOST_WORDS)]
    """Where the index has it; never shown to anybody."""
    sha256: _Sha256
    """Its content."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Its bytes, where the index says."""
    requires_python: _Words | None = None
    """Pythons that it is for (PEP 345)."""
    yanked: _Words | None = None
    """Why it was yanked (PEP 592), empty without a reason; None where it was not."""
    metadata_sha256: _Sha256 | None = None
    """Content of its metadata (PEP 658), where the index has it as a file."""
    upload_time: _Words | None = None
    """When it came to the index."""


class Listing(BaseModel):
    """All files of one package."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    project: str
    """Normalised name."""
    files: Annotated[tuple[File, ...], Field(max_length=_MOST_FILES)]
    """Its files, in the order of the index."""

    def file(self, filename: str) -> File | None:
        """Return the file of this name."""
        return next((each for each in self.files if each.filename == filename), None)


def read_page(
    body: bytes,
    content_type: str,
    *,
    project: str,
    url: str,
    may_fetch: Callable[[str], bool],
) -> Listing:
    """Read a package's page.

    Args:
        body: The page.
        content_type: As the index names it; what is not JSON is read as HTML.
        project: Normalised name that was asked for.
        url: Where the page was found; relative links start there.
        may_fetch: Tells whether files at a URL may be fetched.

    Raises:
        PageError: when the page is no page of an index.

    """
    kind = content_type.partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    files: dict[str, File] = {}
    for raw in _json_files(body) if is_json else _html_files(body):
        link = _joined(url, raw.pop("url"))
        if not belongs_to(raw["filename"], project=project) or not may_fetch(link):
            continue
        try:
            # The first link of a name wins: a second one cannot take its place.
            files.setdefault(raw["filename"], File(url=link, **raw))
        except ValidationError:
            continue
        if len(files) > _MOST_FILES:
            raise PageError(f"the page lists more than {_MOST_FILES:,} files")
    return Listing(project=project, files=tuple(files.values()))


def settled(fresh: Listing, *, earlier: Listing | None) -> tuple[Listing, tuple[str, ...]]:
    """Return a fresh page with the content that its files had before, and names that changed.

    An index never replaces a file. One that comes with another content under its old name was
    tampered with, or was before: the site keeps what it knew, and says so.
    """
    known = {each.filename: each for each in earlier.files} if earlier else {}
    changed = tuple(
        each.filename
        for each in fresh.files
        if each.filename in known and known[each.filename].sha256 != each.sha256
    )
    kept = tuple(known[each.filename] if each.filename in changed else each for each in fresh.files)
    return fresh.model_copy(update={"files": kept}), changed


def as_json(listing: Listing) -> str:
    """Write the page as PEP 691 says; every link leads to the mirror."""
    files = [
        {
            "filename": each.filename,
            "url": _link(listing, each),
            "hashes": {"sha256": each.sha256},
            "requires-python": each.requires_python,
            "yanked": False if each.yanked is None else each.yanked or True,
            "core-metadata": {"sha256": each.metadata_sha256} if each.metadata_sha256 else False,
            "size": each.size,
            "upload-time": each.upload_time,
        }
        for each in listing.files
    ]
    said = [{key: value for key, value in each.items() if value is not None} for each in files]
    return json.dumps({"meta": {"api-version": "1.0"}, "name": listing.project, "files": said})


def as_html(listing: Listing) -> str:
    """Write the page as PEP 503 says; every link leads to the mirror."""
    links = "\n".join(_anchor(listing, each) for each in listing.files)
    return (
        '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0">'
        f"<title>{listing.project}</title></head>\n<body>\n{links}\n</body></html>\n"
    )


def _anchor(listing: Listing, file: File) -> str:
    metadata = f"sha256={file.metadata_sha256}" if file.metadata_sha256 else None
    attributes = {
        "href": f"{_link(listing, file)}#sha256={file.sha256}",
        "data-requires-python": file.requires_python,
        "data-yanked": file.yanked,
        "data-core-metadata": metadata,
        "data-dist-info-metadata": metadata,
    }
    said = " ".join(
        f'{name}="{html.escape(value)}"' for name, value in attributes.items() if value is not None
    )
    return f"<a {said}>{html.escape(file.filename)}</a><br>"


def _link(listing: Listing, file: File) -> str:
    # Relative, so that whoever passes the page on may stand under another address.
    return f"../../files/{listing.project}/{file.filename}"


def _json_files(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        page = json.loads(body)
        version = str(page["meta"]["api-version"])
        files = page["files"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PageError("the page is no JSON of a package index (PEP 691)") from error
    if version.partition(".")[0] != "1" or not isinstance(files, list):
        raise PageError(f"the page is of version {version[:20]!r}, this program knows 1")
    for each in files:
        if not isinstance(each, dict) or not isinstance(each.get("hashes"), dict):
            continue
        if isinstance(each.get("url"), str) and isinstance(each.get("filename"), str):
            yield _from_json(each)


def _from_json(each: dict[str, Any]) -> dict[str, Any]:
    metadata = each.get("core-metadata", each.get("dist-info-metadata"))
    yanked = each.get("yanked", False)
    size = each.get("size")
    return {
        "filename": each["filename"],
        "url": each["url"],
        "sha256": each["hashes"].get("sha256"),
        "size": size if isinstance(size, int) and not isinstance(size, bool) else None,
        "requires_python": each.get("requires-python"),
        "yanked": (yanked if isinstance(yanked, str) else "") if yanked is not False else None,
        "metadata_sha256": metadata.get("sha256") if isinstance(metadata, dict) else None,
        "upload_time": each.get("upload-time"),
    }


class _Links(HTMLParser):
    """Collects the attributes of every `a`; scripts, bases and everything else are nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[dict[str, str | None]] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.found) <= _MOST_FILES:
            self.found.append(dict(attrs))


def _html_files(body: bytes) -> Iterator[dict[str, Any]]:
    parser = _Links()
    try:
        parser.feed(body.decode())
        parser.close()
    except (ValueError, AssertionError) as error:
        raise PageError("the page is neither JSON nor HTML of a package index") from error
    for each in parser.found:
        try:
            url, fragment = urldefrag(each.get("href") or "")
            filename = unquote(urlsplit(url).path.rpartition("/")[2])
        except ValueError:
            continue
        yield {
            "filename": filename,
            "url": url,
            "sha256": _hash_in(fragment),
            "requires_python": each.get("data-requires-python"),
            "yanked": (each["data-yanked"] or "") if "data-yanked" in each else None,
            "metadata_sha256": _hash_in(
                each.get("data-core-metadata") or each.get("data-dist-info-metadata") or ""
            ),
        }


def _joined(url: str, link: str) -> str:
    try:
        return urldefrag(urljoin(url, link)).url
    except ValueError:
        return ""


def _hash_in(text: str) -> str | None:
    algorithm, _, value = text.partition("=")
    return value if algorithm == "sha256" and _SHA256.fullmatch(value) else None
