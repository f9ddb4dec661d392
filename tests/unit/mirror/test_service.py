"""What the mirror gives, what it asks outside, and what it never asks."""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.mirror_world import MirrorWorld, mirror_world, plain_relay
from support.package_index import JSON_TYPE, PackageIndex, metadata_of, package_index, wheel

pytestmark = pytest.mark.loopback
TINY = wheel("tiny", needs=("needed>=1",))
NEEDED = wheel("needed")
TINY_FILE = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
async def index() -> AsyncIterator[PackageIndex]:
    async with package_index() as found:
        found.add("tiny", TINY)
        found.add("needed", NEEDED)
        found.add("unlisted", wheel("unlisted"))
        yield found


@pytest.fixture
async def mirror(tmp_path: Path, index: PackageIndex) -> AsyncIterator[MirrorWorld]:
    async with mirror_world(tmp_path, index) as found:
        await found.policy("imaging", "tiny", "needed", "missing")
        await found.until_listed("tiny")
        await found.until_listed("needed")
        yield found


def rule(answer: tuple[int, bytes, object]) -> tuple[int, str]:
    """Return status and rule of a refusal."""
    return answer[0], json.loads(answer[1])["rule"]


def files_asked(index: PackageIndex) -> list[str]:
    return [each for each in index.asked if "/files/" in each]


@pytest.mark.parametrize("speaks_json", [True, False], ids=["PEP 691", "PEP 503"])
async def test_a_page_leads_to_the_mirror_alone(
    tmp_path: Path, index: PackageIndex, *, speaks_json: bool
) -> None:
    index.speaks_json = speaks_json
    async with mirror_world(tmp_path, index) as mirror:
        await mirror.policy("imaging", "tiny")
        await mirror.until_listed("tiny")
        _, body, headers = await mirror.ask("/pypi/simple/tiny/", Accept=JSON_TYPE)
        (file,) = json.loads(body)["files"]
        assert headers["Content-Type"] == JSON_TYPE
        assert file["url"] == f"../../files/tiny/{TINY_FILE}"
        assert file["hashes"] == {"sha256": hashlib.sha256(TINY).hexdigest()}
        assert file["requires-python"] == ">=3.8"
        _, body, headers = await mirror.ask("/pypi/simple/Tiny/", Accept="text/html")
        assert f'href="../../files/tiny/{TINY_FILE}#sha256='.encode() in body
        assert index.url.encode() not in body


async def test_a_file_and_its_metadata_come_as_the_index_has_them(mirror: MirrorWorld) -> None:
    path = f"/pypi/files/tiny/{TINY_FILE}"
    for _ in range(2):
        assert (await mirror.ask(path))[:2] == (200, TINY)
        assert (await mirror.ask(f"{path}.metadata"))[:2] == (200, metadata_of(TINY))
    status, part, _ = await mirror.ask(path, Range="bytes=0-3")
    assert (status, part) == (206, TINY[:4])


@pytest.mark.long
async def test_two_hundred_who_ask_at_once_are_one_request_outside(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    index.hold = asyncio.Event()
    big = wheel("big", size=600_000)
    path = index.add("big", big)
    await mirror.policy("bigger", "big")
    await mirror.until_listed("big")
    asks = [
        asyncio.create_task(mirror.ask(f"/pypi{path.replace('/files', '/files/big')}"))
        for _ in range(200)
    ]
    await index.until_asked(f"GET {path}")
    index.hold.set()
    answers = await asyncio.gather(*asks)
    assert {(status, hashlib.sha256(body).digest()) for status, body, _ in answers} == {
        (200, hashlib.sha256(big).digest())
    }
    assert files_asked(index) == [f"GET {path}"]


async def test_asking_for_a_page_asks_nobody_outside(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    before = list(index.asked)
    for _ in range(5):
        await mirror.ask("/pypi/simple/tiny/")
        await mirror.ask(f"/pypi/files/tiny/{TINY_FILE}", method="HEAD")
    assert index.asked == before


async def test_pages_are_fetched_again_on_schedule_whether_anybody_asks_or_not(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    index.add("tiny", wheel("tiny", "2.0"), version="2.0")
    await mirror.later(timedelta(hours=7))
    async with asyncio.timeout(20):
        while b"tiny-2.0" not in (await mirror.ask("/pypi/simple/tiny/"))[1]:
            pass
    assert index.asked.count("GET /simple/tiny/") == 2


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/pypi/simple/unlisted/", (404, "mirror.not_listed")),
        ("/pypi/simple/c2VjcmV0LWRhdGE/", (404, "mirror.not_listed")),
        ("/pypi/simple/..%2ftiny/", (404, "mirror.not_listed")),
        ("/pypi/simple/%00/", (404, "mirror.not_listed")),
        ("/pypi/simple/" + "n" * 3000 + "/", (404, "mirror.not_listed")),
        ("/other/simple/tiny/", (404, "mirror.not_listed")),
        ("/pypi/simple/missing/", (404, "mirror.unknown_to_the_index")),
        ("/pypi/files/tiny/tiny-9-py3-none-any.whl", (404, "mirror.no_such_file")),
        ("/pypi/files/tiny/..%2f..%2fpages", (404, "mirror.no_such_file")),
        ("/pypi/files/tiny/c2VjcmV0", (404, "mirror.no_such_file")),
        ("/pypi/simple/tiny/?data=c2VjcmV0", (405, "mirror.only_reading")),
        ("/pypi/simple/", (404, "mirror.no_such_path")),
        ("/", (404, "mirror.no_such_path")),
    ],
)
async def test_what_is_not_listed_is_answered_here_and_never_asked_outside(
    mirror: MirrorWorld, index: PackageIndex, path: str, answer: tuple[int, str]
) -> None:
    await mirror.until_listed("missing", status=404)
    before = list(index.asked)
    assert rule(await mirror.ask(path)) == answer
    assert index.asked == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_sent(mirror: MirrorWorld, index: PackageIndex, method: str) -> None:
    before = list(index.asked)
    status, _, _ = await mirror.ask("/pypi/simple/tiny/", method=method)
    assert (status, index.asked) == (405, before)


async def test_the_index_learns_nothing_of_who_asks(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    await mirror.ask(
        f"/pypi/files/tiny/{TINY_FILE}", **{"Cookie": "a=b", "X-Secret": "s", "User-Agent": "me"}
    )
    sent = {key: value for each in index.headers for key, value in each.items() if key != "Host"}
    assert set(sent) == {"User-Agent", "Accept-Encoding", "Accept"}
    assert (sent["User-Agent"], sent["Accept-Encoding"]) == ("carrel-mirror", "identity")


@pytest.mark.parametrize("token", ["", "somebody's", "the operator's", "x" * 9000])
async def test_only_node_agents_are_answered(mirror: MirrorWorld, token: str) -> None:
    assert rule(await mirror.ask("/pypi/simple/tiny/", token=token)) == (
        401,
        "mirror.caller_not_known",
    )


async def test_callers_that_cannot_be_checked_are_not_answered(mirror: MirrorWorld) -> None:
    mirror.cluster.away = True
    answer = await mirror.ask("/pypi/simple/tiny/", token="a new one")  # noqa: S106 - no secret
    assert rule(answer) == (503, "mirror.callers_not_checked")


async def test_what_no_policy_lists_any_more_is_not_given(mirror: MirrorWorld) -> None:
    (policy,) = (ref for ref in mirror.cluster.objects if ref.name == "imaging")
    await mirror.cluster.delete(policy)
    await mirror.until_listed("tiny", status=404)
    assert rule(await mirror.ask(f"/pypi/files/tiny/{TINY_FILE}")) == (404, "mirror.not_listed")


async def test_a_mirror_that_starts_again_asks_for_nothing_that_it_has(
    tmp_path: Path, index: PackageIndex
) -> None:
    for _ in range(2):
        async with mirror_world(tmp_path, index) as mirror:
            await mirror.policy("imaging", "tiny")
            await mirror.until_listed("tiny")
            assert (await mirror.ask(f"/pypi/files/tiny/{TINY_FILE}"))[1] == TINY
    assert index.asked == ["GET /simple/tiny/", f"GET /files/{TINY_FILE}"]


async def run(*command: str) -> tuple[int, str]:
    """Run an installer; return exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.long
@pytest.mark.parametrize("speaks_json", [True, False], ids=["PEP 691", "PEP 503"])
@pytest.mark.parametrize("installer", ["pip", "uv"])
async def test_installers_install_what_is_listed_with_what_it_needs(
    tmp_path: Path, index: PackageIndex, installer: str, *, speaks_json: bool
) -> None:
    index.speaks_json = speaks_json
    into = tmp_path / "into"
    commands = {
        "pip": (sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"),
        "uv": (sys.executable, "-m", "uv", "pip", "install", "--no-config", "--no-cache"),
    }
    async with mirror_world(tmp_path, index) as mirror, plain_relay(mirror) as address:
        await mirror.policy("imaging", "tiny", "needed")
        await mirror.until_listed("tiny")
        await mirror.until_listed("needed")
        at = ("--index-url", f"{address}/simple", "--target", str(into))
        code, said = await run(*commands[installer], *at, "tiny")
        assert code == 0, said
        assert (into / "needed.py").read_text() == "VERSION = '1.0'\n"
        code, said = await run(*commands[installer], *at, "unlisted")
        assert code != 0, said
    assert not [each for each in index.asked if "unlisted" in each]
