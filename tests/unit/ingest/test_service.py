"""What the service takes, what it refuses, and that it gives nothing back."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from carrel.cluster import Ref
from carrel.cluster.errors import Unavailable
from carrel.ingest.sweeper import sweep
from support.ingest_world import INGESTS, World, world

pytestmark = pytest.mark.loopback
TOKEN = "a token of this test"  # noqa: S105 - no secret


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, file_bytes=1000) as found:
        await found.cluster.create(
            {
                "apiVersion": INGESTS.api_version,
                "kind": INGESTS.kind,
                "metadata": {"name": "lung-1"},
                "spec": {
                    "name": "lung",
                    "title": "Lung",
                    "source": "Site A",
                    "manager": "oidc:manager",
                    "tokenDigest": "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest(),
                    "approvals": 1,
                    "upload": "Open",
                },
            }
        )
        yield found


async def asked(
    place: World,
    method: str,
    path: str,
    *,
    data: bytes = b"",
    token: str = TOKEN,
    digest: str | None = None,
) -> tuple[int, str]:
    """Return status and rule (or body) of an answer."""
    digest = hashlib.sha256(data).hexdigest() if digest is None else digest
    headers = {"Carrel-Upload-Token": token, "Carrel-Content-SHA256": digest}
    url = f"https://127.0.0.1:{place.cluster.port}{path}"
    trust = place.cluster.trust
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, url, headers=headers, data=data, ssl=trust, server_hostname="localhost"
        ) as answer,
    ):
        text = await answer.text()
        if answer.content_type == "application/json" and "rule" in text:
            text = json.loads(text)["rule"]
        return answer.status, text


def staged(place: World) -> dict[int, bytes]:
    return {
        file.index: file.path.read_bytes()
        for uid in place.staging.uids()
        for file in place.staging.area(uid).files()
    }


async def test_a_file_is_stored_once_however_often_it_comes(place: World) -> None:
    path = "/v1/ingests/lung-1/files/3"
    assert await asked(place, "PUT", path, data=b"image") == (200, '{"put": "Stored"}')
    assert await asked(place, "PUT", path, data=b"image") == (200, '{"put": "Held"}')
    assert staged(place) == {3: b"image"}


async def test_a_file_that_comes_again_with_other_content_replaces_the_first(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"first")
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"second")
    assert staged(place) == {3: b"second"}


async def test_what_is_held_is_told_by_number_and_digest_alone(place: World) -> None:
    for number in (12, 3):
        await asked(place, "PUT", f"/v1/ingests/lung-1/files/{number}", data=b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    status, text = await asked(place, "GET", "/v1/ingests/lung-1/received")
    assert (status, json.loads(text)) == (
        200,
        {"files": [[3, digest], [12, digest]], "next": None},
    )
    _, text = await asked(place, "GET", "/v1/ingests/lung-1/received?from=4")
    assert json.loads(text)["files"] == [[12, digest]]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
async def test_no_method_gives_a_file_back_or_takes_it_away(place: World, method: str) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    status, text = await asked(place, method, "/v1/ingests/lung-1/files/3")
    assert status == 405
    assert "image" not in text
    assert staged(place) == {3: b"image"}


@pytest.mark.parametrize(
    ("path", "changes", "answer"),
    [
        ("/v1/ingests/lung-1/files/1", {"token": "wrong"}, (403, "token_does_not_match")),
        ("/v1/ingests/lung-1/files/1", {"token": ""}, (403, "token_does_not_match")),
        ("/v1/ingests/lung-2/files/1", {}, (403, "token_does_not_match")),
        ("/v1/ingests/lung-1/files/1", {"digest": ""}, (400, "digest_is_missing")),
        ("/v1/ingests/lung-1/files/1", {"digest": "../../x"}, (400, "digest_is_missing")),
        ("/v1/ingests/lung-1/files/1", {"digest": "0" * 64}, (422, "content_differs")),
        ("/v1/ingests/lung-1/files/1", {"data": b"x" * 1001}, (413, "file_is_too_large")),
        ("/v1/ingests/lung-1/files/-1", {}, (400, "number_is_not_valid")),
        ("/v1/ingests/lung-1/files/10000000", {}, (400, "number_is_not_valid")),
        ("/v1/ingests/lung-1/files/1e3", {}, (400, "number_is_not_valid")),
    ],
)
async def test_a_refused_file_leaves_nothing_behind(
    place: World, path: str, changes: dict[str, str], answer: tuple[int, str]
) -> None:
    assert await asked(place, "PUT", path, **{"data": b"image", **changes}) == answer
    assert staged(place) == {}
    left = [path for path in (place.root / "staging").rglob("*") if path.is_file()]
    assert left == []


async def test_nothing_is_added_to_a_sealed_upload(place: World) -> None:
    sealed = {"files": 1, "bytes": 1, "digest": "sha256:" + "0" * 64}
    await place.cluster.patch(
        Ref(INGESTS, "lung-1"), {"spec": {"upload": "Sealed", "sealed": sealed}}, manager="test"
    )
    answer = await asked(place, "PUT", "/v1/ingests/lung-1/files/1", data=b"late")
    assert answer == (409, "upload_is_sealed")
    assert staged(place) == {}


async def test_only_the_group_may_read_what_is_staged(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    (uid,) = place.staging.uids()
    (file,) = place.staging.area(uid).files()
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert file.path.parent.stat().st_mode & 0o007 == 0


async def swept(place: World) -> int:
    return await sweep(place.staging, cluster=place.cluster, clock=place.clock, ledger=place.ledger)


async def test_staging_is_emptied_a_day_after_the_last_file(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    place.clock.advance(timedelta(hours=23))
    assert await swept(place) == 0
    place.clock.advance(timedelta(hours=2))
    assert await swept(place) == 1
    assert place.staging.uids() == ()


async def test_staging_is_emptied_when_the_ingest_is_deleted(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    await place.cluster.delete(Ref(INGESTS, "lung-1"))
    assert await swept(place) == 1


async def test_staging_is_emptied_when_the_dataset_is_published(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    published = {"type": "Published", "status": "True", "reason": "Published", "message": "Done."}
    place.cluster.set_status(Ref(INGESTS, "lung-1"), {"conditions": [published]})
    assert await swept(place) == 1


async def test_nothing_is_deleted_while_the_api_server_is_away(place: World) -> None:
    await asked(place, "PUT", "/v1/ingests/lung-1/files/3", data=b"image")
    place.clock.advance(timedelta(days=2))
    place.cluster.away = Unavailable("away", call="list")
    assert await swept(place) == 0
    assert staged(place) == {3: b"image"}
