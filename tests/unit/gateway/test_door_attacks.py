"""Requests that try to be read in two ways, to come from elsewhere, or to be too much."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from support.door_certificate import CERTIFICATE
from support.door_world import (
    DESK_HOST,
    FETCH,
    GATEWAY,
    GRANT,
    HOST,
    OWN,
    POD,
    PORTAL,
    REPORT,
    WORKSPACE,
    Browser,
    DoorWorld,
    door_world,
)

pytestmark = pytest.mark.loopback
KERNEL = "/api/kernels/0a1b2c3d-0000-4000-8000-000000000000/channels"
SAVE = {**FETCH, "Origin": OWN, "Content-Type": "application/json"}


async def said(world: DoorWorld, request: bytes, *, count: int = 4096) -> bytes:
    """Return what comes back for bytes as they are, until the connection ends or an answer came."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=context)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read(count)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def _head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


GET = "GET /lab HTTP/1.1"
AT = f"Host: {DESK_HOST}"
RAW = {
    "two hosts": _head(GET, AT, f"Host: {HOST}"),
    "no host": _head(GET, "Accept: */*"),
    "length and chunks": _head(
        "POST /api/sessions HTTP/1.1", AT, "Content-Length: 4", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\nGET /files/a HTTP/1.1\r\n\r\n",
    "two lengths": _head(
        "POST /api/sessions HTTP/1.1", AT, "Content-Length: 1", "Content-Length: 2"
    )
    + b"ab",
    "chunks spelled oddly": _head("POST /api/sessions HTTP/1.1", AT, "Transfer-Encoding: xchunked")
    + b"0\r\n\r\n",
    "a length with a sign": _head("POST /api/sessions HTTP/1.1", AT, "Content-Length: +4")
    + b"abcd",
    "a space before the colon": _head(GET, f"Host : {DESK_HOST}"),
    "a folded field": _head(GET, AT, "X: a", " b"),
    "a bare line feed": b"GET /lab HTTP/1.1\nHost: " + DESK_HOST.encode() + b"\n\n",
    "a zero byte": _head("GET /lab\x00 HTTP/1.1", AT),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the old protocol": _head("GET /lab HTTP/1.0", AT),
    "a very long line": _head(f"GET /{'a' * 9000} HTTP/1.1", AT),
    "a very long field": _head(GET, AT, f"X: {'a' * 20_000}"),
    "very many fields": _head(GET, AT, *(f"X-{number}: a" for number in range(500))),
    "a whole address": _head(f"GET https://{HOST}/ HTTP/1.1", AT),
    "a tunnel": _head(f"CONNECT {HOST}:443 HTTP/1.1", AT),
    "an upgrade to something else": _head(GET, AT, "Connection: Upgrade", "Upgrade: h2c"),
}


@pytest.mark.parametrize("case", RAW)
async def test_bytes_that_have_no_one_reading_are_refused(
    world: DoorWorld, ada: Browser, case: str
):
    """With a cookie that is good, so that only the reading decides; and the door stays open."""
    desk = ada.cookies[DESK_HOST]["__Host-carrel-desk"]
    first, _, rest = RAW[case].partition(b"\r\n")
    cookie = b"\r\nCookie: __Host-carrel-desk=" + desk.encode()
    answer = await said(world, first + cookie + b"\r\n" + rest if rest else RAW[case])
    assert answer[9:12] in {b"400", b"401", b"403", b"405", b"421", b""}, answer
    assert world.server.asked == []
    assert (await ada.ask(DESK_HOST, "/api/status", FETCH)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example",
        f"a.b.{HOST}",
        f"{HOST}.",
        f"{HOST}:444",
        f"{DESK_HOST}@{HOST}",
        f"WS-LUNGS.{HOST}",
        f"ws-lungs_.{HOST}",
        f"id.{HOST}",
        "127.0.0.1",
    ],
)
async def test_a_host_that_is_not_ours_letter_by_letter_is_nobody(world: DoorWorld, host: str):
    answer = await said(world, _head("GET / HTTP/1.1", f"Host: {host}"))
    assert answer.startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    "path",
    [
        "/files/a.csv",
        "/lab/../files/a.csv",
        "/lab/%2e%2e/files/a.csv",
        "//files/a.csv",
        "/%66iles/a.csv",
        "/api/contents/a?type=file&type=directory",
        "/api/contents/a.bin?format=base64",
        "/nbconvert/html/a.ipynb",
        "/api/terminals",
        "/lab;x/tree",
    ],
)
async def test_a_path_that_is_not_listed_reaches_no_workspace(
    world: DoorWorld, ada: Browser, path: str
):
    answer = await ada.ask(DESK_HOST, path, FETCH)
    assert answer.status in {400, 403}
    assert world.server.asked == []
    (refused,) = await world.recorded("DoorRefused")
    assert (refused["actor"], refused["grant"]) == ("ada", "lungs")


@pytest.mark.parametrize(
    "origin", ["https://ws-other.carrel.localhost", PORTAL, "https://elsewhere.example", "null", ""]
)
async def test_a_socket_of_another_page_is_refused(world: DoorWorld, ada: Browser, origin: str):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await ada.socket(KERNEL, Origin=origin)
    assert refused.value.status == 403
    assert world.server.asked == []


async def test_what_is_brought_in_has_a_limit_whether_it_is_told_before_or_not(tmp_path: Path):
    async with door_world(tmp_path, upload_bytes=1000) as world, world.browser() as ada:
        await ada.log_in()
        await ada.enter()
        path = "/api/contents/a.txt"

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 100

        fits = await ada.ask(DESK_HOST, path, SAVE, method="PUT", data=b"x" * 1000)
        told = await ada.ask(DESK_HOST, path, SAVE, method="PUT", data=b"x" * 1001)
        silent = await ada.ask(DESK_HOST, path, SAVE, method="PUT", data=parts())
        assert (fits.status, told.rule, silent.rule) == (
            200,
            "body_is_too_large",
            "body_is_too_large",
        )
        assert [len(body) for *_, body in world.server.asked] == [1000]


async def test_a_day_s_bytes_are_warned_of_and_then_held(tmp_path: Path):
    async with door_world(tmp_path, budget_bytes=1000) as world, world.browser() as ada:
        await ada.log_in()
        await ada.enter()
        socket = await ada.socket(KERNEL)
        world.server.answer = {"body": b"x" * 850}
        assert (await ada.ask(DESK_HOST, "/static/a.js", FETCH)).status == 200
        assert (await ada.ask(DESK_HOST, "/api/status", FETCH)).status == 200
        page = await ada.ask(HOST, f"/workspaces/{WORKSPACE.name}")
        assert b"are used" in page.body
        await socket.send_str("x" * 200)
        await socket.receive()
        assert socket.closed
        held = await ada.ask(DESK_HOST, "/api/status", FETCH)
        assert (held.status, held.rule) == (429, "budget_is_spent")
        (warned,) = await world.recorded("DoorBudgetWarned")
        (spent,) = await world.recorded("DoorBudgetSpent")
        (cut,) = await world.recorded("DoorCut")
        assert (warned["detail"]["spent"], spent["detail"]["spent"]) == (850, 1050)
        assert cut["detail"]["reason"] == "budget_is_spent"


async def test_more_connections_than_allowed_are_closed_and_the_door_stays_open(tmp_path: Path):
    async with door_world(tmp_path, most_connections=20) as world:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        idle = [
            await asyncio.open_connection("127.0.0.1", world.port, ssl=context) for _ in range(20)
        ]
        assert await said(world, _head("GET / HTTP/1.1", f"Host: {HOST}")) == b""
        for _, writer in idle:
            writer.transport.abort()
        async with world.browser() as browser, asyncio.timeout(20):
            while True:
                with suppress(aiohttp.ClientError):
                    assert (await browser.ask(HOST, "/")).status == 303
                    break


async def test_a_restart_loses_no_login_and_no_count(tmp_path: Path):
    async with door_world(tmp_path, budget_bytes=1000) as world, world.browser() as ada:
        await ada.log_in()
        await ada.enter()
        world.server.answer = {"body": b"x" * 900}
        await ada.ask(DESK_HOST, "/api/status", FETCH)
        kept = ada.cookies
    async with door_world(tmp_path, budget_bytes=1000) as world, world.browser() as again:
        again.cookies = kept
        page = await again.ask(HOST, f"/workspaces/{WORKSPACE.name}")
        assert (page.status, b"are used" in page.body) == (200, True)
        assert (await again.ask(DESK_HOST, "/api/status", FETCH)).status == 200


async def test_a_workspace_that_shows_another_certificate_is_not_spoken_to(
    world: DoorWorld, ada: Browser
):
    """A process of the user that took the port has no key for what the node read."""
    said_now = {"address": "127.0.0.1", "certificate": CERTIFICATE}
    status = {"conditions": [], "podUID": POD, "gateways": [GATEWAY], "server": said_now}
    world.cluster.set_status(REPORT, status)
    async with asyncio.timeout(20):
        while (answer := await ada.ask(DESK_HOST, "/api/status", FETCH)).status == 200:
            pass
    assert (answer.status, answer.rule) == (502, "workspace_does_not_answer")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"state": "Suspended"}, "grant_is_suspended"),
        ({"researchers": [{"subject": "grace"}]}, "person_is_not_named"),
        ({"expires": "2026-11-22T11:00:00Z"}, "grant_is_over"),
    ],
)
async def test_every_end_of_a_grant_cuts_what_is_open(
    world: DoorWorld, ada: Browser, change: dict[str, object], rule: str
):
    socket = await ada.socket(KERNEL)
    await world.patch(GRANT, **change)
    await socket.receive()
    (cut,) = await world.recorded("DoorCut")
    assert (cut["detail"]["reason"], cut["detail"]["sockets"]) == (rule, 1)


async def test_a_deleted_grant_cuts_and_a_deleted_workspace_too(world: DoorWorld, ada: Browser):
    socket = await ada.socket(KERNEL)
    await world.cluster.delete(GRANT)
    await socket.receive()
    (cut,) = await world.recorded("DoorCut")
    assert cut["detail"]["reason"] == "grant_is_gone"
