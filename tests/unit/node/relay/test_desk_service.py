"""The desk service: what a workspace is told about itself."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from carrel.node.relay.http import MOST_CONNECTIONS
from support.loopback import desk

pytestmark = pytest.mark.loopback

REFUSAL = {
    "first": "2026-03-02T09:00:00.000Z",
    "last": "2026-03-02T09:00:05.000Z",
    "count": 3,
    "protocol": "tcp",
    "address": "203.0.113.1",
    "port": 443,
    "name": None,
    "layer": "network",
    "rule": "egress.nothing_allowed",
    "sentence": "Nothing is open.",
    "todo": "Ask.",
}


async def ask(url: str, *, method: str = "GET") -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as got:
        return got.status, json.loads(await got.text())


async def test_why_lists_what_the_recorder_wrote(tmp_path: Path):
    path = tmp_path / "pod.json"
    path.write_text(json.dumps({"refusals": [REFUSAL], "lost": 1, "total": 4}))
    async with desk(path) as url:
        assert await ask(f"{url}/v1/why") == (
            200,
            {"refusals": [REFUSAL], "lost": 1, "total": 4},
        )


async def test_before_the_first_refusal_the_list_is_empty(tmp_path: Path):
    async with desk(tmp_path / "absent.json") as url:
        assert await ask(f"{url}/v1/why") == (200, {"refusals": [], "lost": 0, "total": 0})


async def test_a_list_that_cannot_be_read_is_an_error_and_not_an_empty_list(tmp_path: Path):
    path = tmp_path / "pod.json"
    path.write_text('{"refusals": [')
    async with desk(path) as url:
        status, told = await ask(f"{url}/v1/why")
    assert (status, told["rule"]) == (503, "desk.refusals_not_readable")


@pytest.mark.parametrize(
    ("target", "status", "outcome"),
    [
        ("8.8.8.8:443", 200, ("refused", "egress.nothing_allowed")),
        ("pypi:numpy", 200, ("refused", "egress.nothing_allowed")),
        ("example.org", 200, ("refused", "egress.name_never_forwarded")),
        ("localhost", 200, ("allowed", "egress.loopback")),
        ("", 400, (None, "desk.target_not_understood")),
        ("%00%ff", 400, (None, "desk.target_not_understood")),
        ("x" * 3_000, 400, (None, "desk.target_not_understood")),
    ],
)
async def test_explain_says_what_the_lock_the_resolver_and_the_mirror_would(
    tmp_path: Path, target: str, status: int, outcome: tuple[str | None, str]
):
    async with desk(tmp_path / "absent.json") as url:
        got, told = await ask(f"{url}/v1/explain?to={target}")
    assert (got, (told.get("outcome"), told["rule"])) == (status, outcome)


async def test_me_names_grant_person_and_policy(tmp_path: Path):
    async with desk(tmp_path / "absent.json") as url:
        assert await ask(f"{url}/v1/me") == (
            200,
            {
                "grant": "brain-mri",
                "workspace": "ws-ada",
                "researcher": "ada",
                "expires": "2027-03-09T09:00:00.000Z",
                "policy": "nothing",
                "policy_title": "Nothing leaves",
            },
        )


@pytest.mark.parametrize(
    ("method", "path", "status", "rule"),
    [
        ("POST", "/v1/why", 405, "desk.method_not_allowed"),
        ("GET", "/v1/jobs", 404, "desk.path_not_known"),
    ],
)
async def test_anything_else_is_turned_down(
    tmp_path: Path, method: str, path: str, status: int, rule: str
):
    async with desk(tmp_path / "absent.json") as url:
        got, told = await ask(url + path, method=method)
    assert (got, told["rule"]) == (status, rule)


async def test_a_connection_too_many_is_closed_and_the_others_stay(tmp_path: Path):
    async with desk(tmp_path / "absent.json") as url:
        port = int(url.rpartition(":")[2])
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        first_reader, first_writer = held[0]
        first_writer.write(b"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await first_reader.readline() == b"HTTP/1.1 200 OK\r\n"
        for _, each in [*held, (reader, writer)]:
            each.close()
            with suppress(OSError):
                await each.wait_closed()
