"""One person's way in: log in, see the list, open the notebook, lose it."""

import asyncio

import aiohttp
import pytest

from carrel.kinds import Workspace
from carrel.rules.opening import server_name
from support.door_world import (
    DESK,
    DESK_HOST,
    FETCH,
    FRAMED,
    GRANT,
    HOST,
    OWN,
    PORTAL,
    VISIT,
    WORKSPACE,
    Browser,
    DoorWorld,
)

pytestmark = pytest.mark.loopback
KERNEL = "/api/kernels/0a1b2c3d-0000-4000-8000-000000000000/channels"


async def test_a_stranger_is_sent_to_log_in_and_comes_back(world: DoorWorld):
    async with world.browser() as browser:
        first = await browser.ask(HOST, f"/workspaces/{DESK}")
        assert (first.status, first.where) == (303, f"/login?next=%2Fworkspaces%2F{DESK}")
        begun = await browser.ask(HOST, first.where)
        back = await browser.ask(HOST, world.issuer.authorize(begun.where))
        assert (back.status, back.where) == (303, f"{PORTAL}/workspaces/{DESK}")
        cookie = back.headers["Set-Cookie"]
        assert cookie.startswith("__Host-carrel=")
        assert {"HttpOnly", "Secure", "Path=/"} <= {each.strip() for each in cookie.split(";")}


async def test_the_list_says_what_is_held_and_how_long(ada: Browser):
    page = await ada.ask(HOST, "/")
    text = page.body.decode()
    assert page.status == 200
    assert "lungs" in text
    assert "8 days left" in text
    assert "chest-ct, version 1" in text
    assert f'href="/workspaces/{DESK}"' in text
    assert "'unsafe" not in page.headers["Content-Security-Policy"]


async def test_the_notebook_is_framed_by_the_portal_and_nothing_else(ada: Browser):
    page = await ada.ask(HOST, f"/workspaces/{DESK}")
    policy = page.headers["Content-Security-Policy"]
    assert f"frame-src {OWN};" in policy
    assert "frame-ancestors 'none'" in policy
    assert b'sandbox="allow-scripts allow-same-origin allow-forms allow-modals"' in page.body
    lab = await ada.ask(DESK_HOST, "/lab", FRAMED)
    assert (lab.status, lab.body) == (200, b"hello")
    assert f"frame-ancestors {PORTAL}" in lab.headers["Content-Security-Policy"]
    alone = await ada.ask(DESK_HOST, "/lab", VISIT)
    assert (alone.status, alone.where) == (303, f"{PORTAL}/workspaces/{DESK}")


async def test_the_workspace_is_asked_without_cookie_and_answers_without_one(
    world: DoorWorld, ada: Browser
):
    world.server.answer = {"headers": {"Set-Cookie": "a=b", "Location": "https://elsewhere"}}
    answer = await ada.ask(DESK_HOST, "/api/status", {**FETCH, "Authorization": "Bearer x"})
    method, target, fields, _ = world.server.asked[-1]
    assert (answer.status, method, target) == (200, "GET", "/api/status")
    assert not {"Cookie", "Authorization", "Origin"} & set(fields)
    assert not {"Set-Cookie", "Location"} & set(answer.headers)


async def test_a_cell_speaks_through_the_socket_uncompressed(world: DoorWorld, ada: Browser):
    socket = await ada.socket(KERNEL, protocols=("v1.kernel.websocket.jupyter.org",))
    assert socket.compress == 0
    assert socket.protocol == "v1.kernel.websocket.jupyter.org"
    await socket.send_str("hello")
    assert (await socket.receive()).data == "hello"
    await socket.send_bytes(b"\x00\x01")
    assert (await socket.receive()).data == b"\x00\x01"
    await socket.close()
    (closed,) = await world.recorded("DoorSocketClosed")
    told = closed["detail"]
    assert (told["up"], told["down"], told["reason"]) == (7, 7, "ended")


async def test_everything_is_recorded_with_person_and_template(world: DoorWorld, ada: Browser):
    for _ in range(3):
        await ada.ask(DESK_HOST, "/api/contents/secret-name.txt?content=0", FETCH)
    served = await world.recorded("DoorServed", 3)
    (about,) = {
        (each["actor"], each["grant"], each["workspace"], each["detail"]["template"])
        for each in served
    }
    assert about == ("ada", "lungs", DESK, "/api/contents/{rest}")
    assert sum(each["detail"]["count"] for each in served) == 3
    assert "secret-name" not in str(world.records("DoorServed"))
    order = [each["activity"] for each in world.records("LoginAdmitted", "DoorOpened")]
    assert order == ["LoginAdmitted", "DoorOpened"]


async def test_a_revoked_grant_takes_a_hundred_sockets_away(world: DoorWorld, ada: Browser):
    sockets = [await ada.socket(KERNEL) for _ in range(100)]
    for socket in sockets:
        await socket.send_str("print in a loop")
    await asyncio.gather(*(socket.receive() for socket in sockets))
    await world.patch(GRANT, state="Revoked")
    ends = await asyncio.gather(*(_end(socket) for socket in sockets))
    assert set(ends) == {aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSED} & set(ends)
    (cut,) = await world.recorded("DoorCut")
    told = cut["detail"]
    assert (told["reason"], told["sockets"], cut["actor"]) == ("grant_is_revoked", 100, "ada")
    assert told["decided"] <= told["lastByte"]
    refused = await ada.ask(DESK_HOST, "/api/status", FETCH)
    assert (refused.status, refused.rule) == (403, "grant_is_revoked")
    page = await ada.ask(HOST, f"/workspaces/{DESK}")
    assert b"The grant was revoked." in page.body


async def test_a_browser_that_the_hub_sends_back_comes_to_the_workspace(
    world: DoorWorld, ada: Browser
):
    made = Workspace.model_validate(world.cluster.objects[WORKSPACE])
    answer = await ada.ask(f"hub.{HOST}", f"/user/ada/{server_name(made)}/")
    assert (answer.status, answer.where) == (303, f"{PORTAL}/workspaces/{DESK}")
    astray = await ada.ask(f"hub.{HOST}", "/user/ada/another/")
    assert astray.where == f"{PORTAL}/"


async def _end(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMsgType:
    async with asyncio.timeout(20):
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return message.type
