"""An index that lies, dawdles, floods or points elsewhere harms nobody."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from support.mirror_world import MirrorWorld, mirror_world
from support.package_index import JSON_TYPE, Answer, PackageIndex, package_index, wheel

pytestmark = pytest.mark.loopback
TINY = wheel("tiny")
NAME = "tiny-1.0-py3-none-any.whl"
FILE = f"/pypi/files/tiny/{NAME}"


@pytest.fixture
async def index() -> AsyncIterator[PackageIndex]:
    async with package_index() as found:
        found.add("tiny", TINY)
        yield found


@pytest.fixture
async def mirror(tmp_path: Path, index: PackageIndex) -> AsyncIterator[MirrorWorld]:
    async with mirror_world(tmp_path, index, mirror_file_bytes=2_000_000) as found:
        await found.policy("imaging", "tiny")
        await found.until_listed("tiny")
        yield found


def body(content: bytes, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, headers=headers)

    return answer


def redirect(to: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": to})

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"\0" * 65536)


async def broken(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_length = len(TINY)
    await answer.prepare(request)
    await answer.write(TINY[:100])
    assert request.transport is not None
    request.transport.abort()
    return answer


def kept(mirror: MirrorWorld) -> list[str]:
    """Return every file that the cache holds, whole or not."""
    places = [*mirror.cache.glob("files/*/*"), *mirror.cache.glob("incoming/*")]
    return [path.name for path in places]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(body(b"x" * len(TINY)), "SHA-256", id="other content of the same length"),
        pytest.param(body(TINY[:-1]), "SHA-256", id="too short"),
        pytest.param(body(TINY + b"x"), "larger than", id="too long"),
        pytest.param(endless, "larger than", id="endless"),
        pytest.param(broken, "connection broke", id="broken off"),
        pytest.param(redirect("http://127.0.0.1:1/x"), "host that the site", id="other port"),
        pytest.param(redirect("http://localhost/x"), "host that the site", id="other host"),
        pytest.param(redirect("file:///etc/passwd"), "host that the site", id="file"),
        pytest.param(redirect("https://user@127.0.0.1/x"), "host that the site", id="https"),
        pytest.param(redirect(f"/files/{NAME}"), "redirects", id="redirects for ever"),
        pytest.param(redirect("http://[::1"), "", id="no URL"),
        pytest.param(body(TINY, **{"Content-Encoding": "gzip"}), "compressed", id="compressed"),
    ],
)
async def test_a_file_that_is_not_as_promised_is_refused_and_not_kept(
    mirror: MirrorWorld, index: PackageIndex, answer: Answer, words: str
) -> None:
    index.instead[f"/files/{NAME}"] = answer
    status, said, _ = await mirror.ask(FILE)
    assert (status, json.loads(said)["rule"]) == (502, "mirror.upstream_failed")
    assert words in json.loads(said)["sentence"]
    assert kept(mirror) == []


async def test_what_failed_is_not_asked_for_again_at_once(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    index.instead[f"/files/{NAME}"] = body(b"wrong")
    for _ in range(10):
        assert (await mirror.ask(FILE))[0] == 502
    assert index.asked.count(f"GET /files/{NAME}") == 1
    del index.instead[f"/files/{NAME}"]
    mirror.clock.advance(timedelta(minutes=6))
    assert (await mirror.ask(FILE))[:2] == (200, TINY)


async def test_a_large_file_with_a_wrong_end_is_never_whole(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    big = wheel("big", size=500_000)
    path = index.add("big", big)
    index.instead[path] = body(big[:-1] + b"\xff")
    await mirror.policy("more", "big")
    await mirror.until_listed("big")
    with pytest.raises(aiohttp.ClientPayloadError):
        await mirror.ask(path.replace("/files", "/pypi/files/big"))
    assert kept(mirror) == []


async def test_who_goes_away_does_not_take_the_file_from_the_others(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    index.hold = asyncio.Event()
    one, other = (asyncio.create_task(mirror.ask(FILE)) for _ in range(2))
    await index.until_asked(f"GET /files/{NAME}")
    one.cancel()
    index.hold.set()
    assert (await other)[:2] == (200, TINY)


async def test_a_redirect_to_a_host_that_the_site_named_is_followed(
    tmp_path: Path, index: PackageIndex
) -> None:
    async with package_index() as files:
        files.add("tiny", TINY)
        host = files.url.removeprefix("http://").partition("/")[0]
        index.instead[f"/files/{NAME}"] = redirect(f"http://{host}/files/{NAME}")
        upstream = {"name": "pypi", "url": index.url, "fileHosts": [host]}
        async with mirror_world(tmp_path, index, mirror_upstreams=[upstream]) as mirror:
            await mirror.policy("imaging", "tiny")
            await mirror.until_listed("tiny")
            assert (await mirror.ask(FILE))[:2] == (200, TINY)


async def test_a_file_that_changes_under_its_name_keeps_the_content_it_had(
    mirror: MirrorWorld, index: PackageIndex
) -> None:
    index.packages["tiny"][NAME] = wheel("tiny", needs=("evil",))
    index.add("tiny", wheel("tiny", "2.0"), version="2.0")
    await mirror.later(timedelta(hours=7))
    async with asyncio.timeout(20):
        while b"tiny-2.0" not in (page := (await mirror.ask("/pypi/simple/tiny/"))[1]):
            pass
    assert hashlib.sha256(TINY).hexdigest().encode() in page


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(body(b"{", **{"Content-Type": JSON_TYPE}), id="half a JSON"),
        pytest.param(body(b"[" * 100_000, **{"Content-Type": JSON_TYPE}), id="deep JSON"),
        pytest.param(body(b'{"meta":{"api-version":"2.0"},"files":[]}',
                          **{"Content-Type": JSON_TYPE}), id="a later version"),
        pytest.param(body(b"\xff\xfe" * 9, **{"Content-Type": "text/html"}), id="no text"),
        pytest.param(endless, id="endless"),
        pytest.param(redirect("http://example.org/simple/tiny/"), id="elsewhere"),
        pytest.param(body(b"", **{"Content-Encoding": "gzip"}), id="compressed"),
    ],
)  # fmt: skip
async def test_a_page_that_is_none_leaves_the_page_that_is_here(
    mirror: MirrorWorld, index: PackageIndex, answer: Answer
) -> None:
    index.instead["/simple/tiny/"] = answer
    await mirror.later(timedelta(hours=7))
    await index.until_asked("GET /simple/tiny/", times=2)
    assert (await mirror.ask(FILE))[:2] == (200, TINY)


async def test_a_full_volume_refuses_new_files_and_serves_those_that_are_here(
    tmp_path: Path, index: PackageIndex
) -> None:
    path = index.add("other", wheel("other"))
    other = path.replace("/files", "/pypi/files/other")
    for spare, answer in ((0, 200), (2**60, 507)):
        async with mirror_world(tmp_path, index, mirror_spare_bytes=spare) as mirror:
            await mirror.policy("imaging", "tiny", "other")
            await mirror.until_listed("tiny")
            await mirror.until_listed("other")
            assert (await mirror.ask(FILE))[:2] == (200, TINY)
            status, said, _ = await mirror.ask(other if spare else FILE)
            assert status == answer
            assert (b"mirror.cache_is_full" in said) == (answer == 507)
            assert kept(mirror) == [hashlib.sha256(TINY).hexdigest()[2:]]


async def test_what_a_kill_left_half_done_is_gone_at_the_next_start(
    tmp_path: Path, index: PackageIndex
) -> None:
    incoming = tmp_path / "cache" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "half").write_bytes(b"x")
    pages = tmp_path / "cache" / "pages" / "pypi"
    pages.mkdir(parents=True)
    (pages / "tiny.json").write_bytes(b'{"fetched": 1')
    async with mirror_world(tmp_path, index) as mirror:
        await mirror.policy("imaging", "tiny")
        await mirror.until_listed("tiny")
        assert kept(mirror) == []
