"""The package mirror of a workspace, asked by a real installer over real sockets."""

import asyncio
import hashlib
import io
import json
import socket
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from carrel.flows.clock import FixedClock
from carrel.kinds.egress import EgressPolicySpec
from carrel.node.relay.budget import Budgets
from carrel.node.relay.http import serve_http
from carrel.node.relay.mirror import Mirror
from carrel.node.relay.packages import JSON_TYPE, Part, read_path
from carrel.node.relay.telling import SOCKET, Telling
from carrel.node.relay.upstream import USER_AGENT, Upstream
from carrel.rules.egress import egress_rules

pytestmark = pytest.mark.loopback

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
POD, GRANT = "6f0f4d8e-2f5f-4f6d-9b3c-1f1b7a6c2d10", "0b5f3c52-9a1e-4b40-8f6f-1df8f1f3a001"
SPEC = EgressPolicySpec.model_validate(
    {
        "title": "Two packages",
        "allow": "Listed",
        "packages": [{"index": "pypi", "projects": ["tiny-tool", "absent"]}],
        "budget": {"requestsPerDay": 6, "mibPerDay": 1},
    }
)
WHEEL = "tiny_tool-1.0-py3-none-any.whl"


def wheel() -> bytes:
    content = io.BytesIO()
    info = "tiny_tool-1.0.dist-info"
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("tiny_tool.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tool\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return content.getvalue()


@dataclass
class Site:
    """The site's mirror, and what it was asked."""

    content: bytes = field(default_factory=wheel)
    asked: list[str] = field(default_factory=list)
    headers: list[set[str]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the site's mirror does."""
        self.asked.append(str(request.rel_url))
        self.headers.append(set(request.headers))
        assert request.headers["User-Agent"] == USER_AGENT
        if request.path == "/pypi/simple/tiny-tool/":
            digest = hashlib.sha256(self.content).hexdigest()
            file = {"filename": WHEEL, "url": "elsewhere", "hashes": {"sha256": digest}}
            odd = {"filename": "../../etc/passwd", "url": "elsewhere", "hashes": {}}
            page = {"meta": {"api-version": "1.1"}, "name": "tiny-tool", "files": [file, odd]}
            return web.Response(text=json.dumps(page), content_type=JSON_TYPE)
        if request.path == f"/pypi/files/tiny-tool/{WHEEL}":
            return web.Response(body=self.content)
        return web.Response(status=404)


@dataclass(frozen=True)
class Place:
    """A workspace's mirror."""

    url: str
    telling: Telling
    clock: FixedClock

    def refusals(self) -> list[tuple[str, str]]:
        """Return names and rules of what waits for the recorder."""
        return [(each.name, each.rule) for each in self.telling._waiting.get(POD, {})]


def listener() -> tuple[socket.socket, str]:
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made, f"http://127.0.0.1:{made.getsockname()[1]}"


@asynccontextmanager
async def place(
    folder: Path, site: Site, *, spec: EgressPolicySpec | None = SPEC
) -> AsyncIterator[Place]:
    clock = FixedClock(NOW)
    telling = Telling(folder, clock=clock)
    above, above_url = listener()
    below, url = listener()
    upstream = Upstream(above_url, authority=None, token=None)
    mirror = Mirror(
        POD,
        grant_uid=GRANT,
        policy=egress_rules("two", spec),
        upstream=upstream,
        budgets=Budgets(folder / "budgets", clock=clock),
        telling=telling,
        clock=clock,
    )
    tasks = [
        asyncio.create_task(serve_http(above, site.answer)),
        asyncio.create_task(serve_http(below, mirror.answer)),
    ]
    try:
        yield Place(url, telling, clock)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await upstream.close()
        telling.close()
        above.close()
        below.close()


@pytest.fixture
def site() -> Site:
    return Site()


@asynccontextmanager
async def recorder(folder: Path) -> AsyncIterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(folder / SOCKET))
        yield


async def pip(url: str, target: Path, package: str) -> tuple[int, str]:
    """Install with pip; return its exit code and what a person sees."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"),
        *("--disable-pip-version-check", "--retries=0", "--no-deps", f"--target={target}"),
        *(f"--index-url={url}/simple", package),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def get(url: str, *, accept: str = "*/*", method: str = "GET") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers={"Accept": accept, "Cookie": "carries=data"}) as got,
    ):
        return got.status, await got.text()


@pytest.mark.long
async def test_pip_installs_what_is_listed_and_the_mirror_learns_nothing_else(
    tmp_path: Path, site: Site
):
    async with recorder(tmp_path), place(tmp_path, site) as here:
        code, said = await pip(here.url, tmp_path / "target", "Tiny.Tool")
    assert code == 0, said
    assert (tmp_path / "target/tiny_tool.py").read_text() == "ANSWER = 42\n"
    assert site.asked == ["/pypi/simple/tiny-tool/", f"/pypi/files/tiny-tool/{WHEEL}"]
    assert set().union(*site.headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert here.refusals() == []


@pytest.mark.long
async def test_a_person_who_installs_what_is_not_listed_reads_the_rule_and_what_to_do(
    tmp_path: Path, site: Site
):
    async with recorder(tmp_path), place(tmp_path, site) as here:
        code, said = await pip(here.url, tmp_path / "target", "Secret_Data")
    assert code == 1
    assert "egress.package_not_listed" in said
    assert "Ask the grant administrator" in said
    assert site.asked == []
    assert {rule for _, rule in here.refusals()} == {"egress.package_not_listed"}


@pytest.mark.long
async def test_a_version_asked_by_number_leads_to_carrel_why(tmp_path: Path, site: Site):
    async with recorder(tmp_path), place(tmp_path, site) as here:
        code, said = await pip(here.url, tmp_path / "target", "secret-data==1.2")
    assert code == 1
    assert "from versions: 0+refused.see.carrel.why" in said


async def test_anybody_else_gets_403_with_the_rule_in_the_body(tmp_path: Path, site: Site):
    async with recorder(tmp_path), place(tmp_path, site, spec=None) as here:
        status, body = await get(f"{here.url}/simple/numpy/")
    found = json.loads(body)
    assert status == 403
    assert found["rule"] == "egress.nothing_allowed"
    assert found["sentence"]
    assert found["todo"]
    assert (site.asked, here.refusals()) == ([], [("numpy", "egress.nothing_allowed")])


async def test_without_a_recorder_nothing_is_let_through(tmp_path: Path, site: Site):
    async with place(tmp_path, site) as here:
        status, body = await get(f"{here.url}/simple/tiny-tool/")
    assert (status, json.loads(body)["rule"]) == (503, "mirror.recorder_is_away")
    assert site.asked == []


@pytest.mark.long
async def test_the_budget_of_a_day_ends_and_is_kept_over_a_restart(tmp_path: Path, site: Site):
    async with recorder(tmp_path):
        async with place(tmp_path, site) as here:
            before = [(await get(f"{here.url}/simple/tiny-tool/"))[0] for _ in range(4)]
        async with place(tmp_path, site) as here:
            after = [(await get(f"{here.url}/simple/tiny-tool/"))[0] for _ in range(3)]
            here.clock.advance(timedelta(days=1))
            tomorrow = (await get(f"{here.url}/simple/tiny-tool/"))[0]
            here.clock.advance(-timedelta(days=1))
            back = (await get(f"{here.url}/simple/tiny-tool/"))[0]
    assert (before, after, tomorrow) == ([200] * 4, [200, 200, 403], 200)
    # A clock that is set back counts on with the day that has begun.
    assert back == 200
    assert json.loads((tmp_path / f"budgets/{GRANT}.json").read_text())["requests"] == 2


async def test_a_budget_that_cannot_be_written_closes_the_mirror(tmp_path: Path, site: Site):
    (tmp_path / "budgets").write_text("a file where a folder should be")
    async with recorder(tmp_path), place(tmp_path, site) as here:
        status, body = await get(f"{here.url}/simple/tiny-tool/")
    assert (status, json.loads(body)["rule"]) == (503, "mirror.budget_not_kept")
    assert site.asked == []


@pytest.mark.parametrize(
    ("asked", "status", "rule"),
    [
        ("POST /simple/tiny-tool/", 405, "mirror.method_not_allowed"),
        ("PUT /simple/tiny-tool/", 405, "mirror.method_not_allowed"),
        ("GET /", 200, None),
        ("GET /etc/passwd", 404, "mirror.path_not_known"),
        ("GET /files/tiny-tool/..%2f..%2fsecret", 404, "mirror.path_not_known"),
        ("GET /files/tiny-tool/other-1.0.tar.gz", 403, "egress.file_not_served"),
        ("GET /other/simple/tiny-tool/", 403, "egress.index_not_listed"),
        ("GET /simple/absent/", 404, "mirror.package_not_there"),
        ("GET /simple/tiny-tool/?carries=data", 200, None),
    ],
)
async def test_only_packages_are_given_and_nothing_is_taken(
    tmp_path: Path, site: Site, asked: str, status: int, rule: str | None
):
    method, path = asked.split(" ")
    async with recorder(tmp_path), place(tmp_path, site) as here:
        got, body = await get(here.url + path, method=method)
    assert got == status, body
    assert [each for _, each in here.refusals()] == ([rule] if rule else [])
    assert not any("carries" in each for each in site.asked)


async def test_a_body_an_upgrade_and_long_headers_are_refused(tmp_path: Path, site: Site):
    requests = (
        b"GET /simple/tiny-tool/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ndata",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /simple/tiny-tool/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01 not HTTP at all\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    )
    async with recorder(tmp_path), place(tmp_path, site) as here:
        port = int(here.url.rpartition(":")[2])
        for raw in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            line = await reader.readline()
            assert line.split()[1] in {b"400", b"405"}, (raw[:60], line)
            writer.close()
    assert site.asked == []


@pytest.mark.parametrize(
    ("path", "part", "index"),
    [
        ("/simple/numpy/", Part.PAGE, "pypi"),
        ("/simple/numpy", Part.PAGE, "pypi"),
        ("/internal/simple/numpy/", Part.PAGE, "internal"),
        ("/files/numpy/numpy-1.0.tar.gz", Part.FILE, "pypi"),
        ("/simple//", None, None),
        ("/simple/a/b/c", None, None),
        ("/UPPER/simple/numpy/", None, None),
        ("/simple/" + "a" * 2000, None, None),
        ("", None, None),
    ],
)
def test_a_path_is_read_or_it_is_not(path: str, part: Part | None, index: str | None):
    found = read_path(path)
    assert (found and found.part, found and found.request.index) == (part, index)
