"""Requests for packages: what a path asks for, and the pages that installers read.

Pages follow the simple API of package indexes (PEP 503, PEP 691). Whoever runs an installer sees
neither the body nor the reason of a refused page, only that nothing was found; so a refused
package has a page with one file, and fetching that file is what is refused. pip and uv both
print that refusal.
"""

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from carrel.node.relay.trouble import Words
from carrel.rules.egress_attempt import PackageRequest, distribution_of, normalised_project

DEFAULT_INDEX = "pypi"
"""The index of paths that name none."""
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
PROBLEM_TYPE = "application/problem+json"
"""RFC 9457."""
LONGEST_PATH = 1_024
REFUSED_VERSION = "0+refused.see.carrel.why"
"""Never newer than anything that is installed, and seen where a version is asked for by number."""
LARGEST_PAGE = 64 * 2**20
_KEPT = frozenset(
    ["filename", "hashes", "requires-python", "yanked", "size", "upload-time", "core-metadata"]
)
_INDEX = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Part(StrEnum):
    """What a path leads to."""

    PAGE = "simple"
    """The page of a package."""
    FILE = "files"
    """A file of a package, or its metadata (PEP 658)."""
    REFUSED = "refused"
    """The one file of a page that stands for a refused package."""


@dataclass(frozen=True)
class Wanted:
    """What a path asks for."""

    part: Part
    request: PackageRequest


class PageError(Exception):
    """The mirror's page cannot be read."""


def read_path(path: str) -> Wanted | None:
    """Read `[/INDEX]/simple/PROJECT/` or `[/INDEX]/files/PROJECT/FILE`; None for anything else."""
    parts = path.removeprefix("/").split("/")
    if len(path) > LONGEST_PATH or len(parts) < 2:
        return None
    index = DEFAULT_INDEX
    if parts[0] not in set(Part):
        index = parts.pop(0)
    match parts:
        case [Part.PAGE, project] | [Part.PAGE, project, ""] if project:
            found = Wanted(Part.PAGE, _request(index, project, None))
        case [(Part.FILE | Part.REFUSED) as part, project, filename] if project and filename:
            found = Wanted(Part(part), _request(index, project, filename))
        case _:
            return None
    return found if _INDEX.fullmatch(index) else None


def _request(index: str, project: str, filename: str | None) -> PackageRequest:
    return PackageRequest(index=index, project=project, filename=filename)


def upstream_path(wanted: Wanted) -> str:
    """Return the path at the site's mirror; every part of it has been decided to be plain."""
    request = wanted.request
    project = normalised_project(request.project)
    return f"/{request.index}/{wanted.part}/{project}/{request.filename or ''}"


def readdressed(page: bytes, *, project: str) -> list[dict[str, Any]]:
    """Return the files of the mirror's page (PEP 691), each with an address at the relay.

    Raises PageError for what is no such page. Files that no request can name are left out.
    """
    try:
        files = json.loads(page)["files"]
        kept = [each for each in files if distribution_of(str(each["filename"])) is not None]
        return [
            {key: value for key, value in each.items() if key in _KEPT}
            | {"url": f"../../files/{project}/{each['filename']}"}
            for each in kept
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PageError(f"mirror.page_not_understood: {error!r}") from error


def page_of(project: str, files: list[dict[str, Any]], *, accept: str) -> tuple[bytes, str]:
    """Return a page in the form that `accept` asks for, and its type."""
    if JSON_TYPE in accept:
        page = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        return json.dumps(page).encode(), JSON_TYPE
    links = "".join(
        f"<a {_attributes(each)}>{html.escape(each['filename'])}</a>\n" for each in files
    )
    return _html(project, links), HTML_TYPE if HTML_TYPE in accept else "text/html"


def _attributes(file: dict[str, Any]) -> str:
    hashes = file.get("hashes") or {}
    digest = f"#sha256={hashes['sha256']}" if "sha256" in hashes else ""
    found = {"href": file["url"] + digest}
    if file.get("requires-python"):
        found["data-requires-python"] = file["requires-python"]
    if yanked := file.get("yanked"):
        found["data-yanked"] = yanked if isinstance(yanked, str) else ""
    if file.get("core-metadata"):
        found["data-core-metadata"] = "true"
    return " ".join(f'{key}="{html.escape(str(value))}"' for key, value in found.items())


def _html(title: str, body: str) -> bytes:
    text = f"<!DOCTYPE html>\n<html><head><title>{html.escape(title)}</title></head><body>\n{body}"
    return f"{text}</body></html>\n".encode()


def list_of(projects: Iterable[str], *, accept: str) -> tuple[bytes, str]:
    """Return the page of all packages that are listed, and its type."""
    names = sorted(projects)
    if JSON_TYPE in accept:
        listed = {"meta": {"api-version": "1.0"}, "projects": [{"name": name} for name in names]}
        return json.dumps(listed).encode(), JSON_TYPE
    links = "".join(f'<a href="{name}/">{name}</a>\n' for name in names)
    return _html("packages", links), HTML_TYPE if HTML_TYPE in accept else "text/html"


def is_installer(accept: str) -> bool:
    """Tell whether whoever asks reads pages as an installer does."""
    return "application/vnd.pypi.simple" in accept


def refused_page(project: str, *, accept: str) -> tuple[bytes, str]:
    """Return the page that leads an installer to the refusal."""
    name = normalised_project(project) or "refused"
    filename = f"{name.replace('-', '_')}-{REFUSED_VERSION}-py3-none-any.whl"
    url = f"../../refused/{name}/{filename.replace('+', '%2B')}"
    return page_of(name, [{"filename": filename, "url": url, "hashes": {}}], accept=accept)


def problem(words: Words, *, status: int) -> bytes:
    """Return a refusal as a problem document (RFC 9457)."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": words.sentence,
            "status": status,
            "detail": f"{words.todo} ({words.rule})",
            "rule": words.rule,
            "sentence": words.sentence,
            "todo": words.todo,
        }
    ).encode()


def reason(words: Words) -> str:
    """Return a refusal as the reason phrase of an answer, which pip prints: plain ASCII."""
    text = f"{words.rule}: {words.sentence} {words.todo}"
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:600]
