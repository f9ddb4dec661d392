"""Logins that are forged, replayed, bent or somebody else's; and logins that end."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey

from support.door_world import (
    DESK,
    DESK_HOST,
    FETCH,
    FRAMED,
    GRANT,
    HOST,
    PORTAL,
    SERVICE,
    VISIT,
    Browser,
    DoorWorld,
)
from support.issuer import CLIENT, ISSUER, Issuer

pytestmark = pytest.mark.loopback
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FROM_PORTAL = {"Origin": PORTAL, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}


def _unsigned(issuer: Issuer) -> str:
    said = {"iss": ISSUER, "aud": CLIENT, "sub": "ada", "exp": 2**40, "iat": 1}
    parts = [{"alg": "none", "kid": issuer.key.kid}, said]
    encoded = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in parts]
    return b".".join([*encoded, b""]).decode()


BENT: dict[str, tuple[dict[str, Any], str]] = {
    "of another issuer": ({"iss": "https://elsewhere"}, "issuer_is_another"),
    "for another client": ({"aud": "carrel-hub"}, "audience_is_another"),
    "of another login": ({"nonce": "other"}, "nonce_is_another"),
    "expired": ({"exp": 1}, "token_is_expired"),
    "beside another access token": ({"at_hash": "AAAA"}, "access_token_is_another"),
    "that names nobody": ({"sub": None}, "subject_is_missing"),
}


@pytest.mark.parametrize("case", BENT)
async def test_a_token_that_is_bent_lets_nobody_in(world: DoorWorld, case: str):
    world.issuer.bent, rule = BENT[case]
    async with world.browser() as browser:
        answer = await browser.log_in()
        assert (answer.status, rule.encode() in answer.body) == (403, True)
        assert "__Host-carrel" not in browser.cookies[HOST]
    (refused,) = await world.recorded("LoginRefused")
    assert refused["detail"]["rule"] == rule


async def test_a_token_that_somebody_else_signed_lets_nobody_in(world: DoorWorld):
    world.issuer.stranger = ECKey.generate_key("P-256", {"kid": "first"})
    async with world.browser() as browser:
        answer = await browser.log_in()
    assert (answer.status, b"signature_does_not_hold" in answer.body) == (403, True)


async def test_a_new_key_of_the_provider_is_looked_for_once(world: DoorWorld):
    """A stranger who names keys at will must not make us ask for each."""
    async with world.browser() as browser:
        await browser.log_in()
        world.issuer.stranger = ECKey.generate_key("P-256", {"kid": "first"})
        published = world.issuer.key
        for number in range(5):
            world.issuer.key = ECKey.generate_key("P-256", {"kid": f"unknown-{number}"})
            assert b"key_is_unknown" in (await browser.log_in()).body
        world.issuer.key = published
    assert world.issuer.keys_asked == 1


async def test_a_login_is_finished_once_and_where_it_was_begun(world: DoorWorld):
    async with world.browser() as browser, world.browser() as other:
        begun = await browser.ask(HOST, "/login")
        back = world.issuer.authorize(begun.where)
        foreign = await other.ask(HOST, back)
        assert (foreign.status, b"login_is_anothers" in foreign.body) == (403, True)
        sealed = dict(browser.cookies[HOST])
        assert (await browser.ask(HOST, back)).status == 303
        browser.cookies[HOST] = sealed
        again = await browser.ask(HOST, back)
        assert (again.status, b"login_is_used_up" in again.body) == (403, True)


@pytest.mark.parametrize(
    "bend",
    [
        lambda sealed: sealed[:-2] + "AA",
        lambda sealed: "A" * len(sealed),
        lambda _: "",
        lambda _: "%ff\x80",
    ],
)
async def test_a_login_cookie_that_is_not_ours_is_nothing(
    world: DoorWorld, bend: Callable[[str], str]
):
    async with world.browser() as browser:
        begun = await browser.ask(HOST, "/login")
        jar = browser.cookies[HOST]
        jar["__Host-carrel-login"] = (
            bend(jar["__Host-carrel-login"]).encode("ascii", "replace").decode()
        )
        answer = await browser.ask(HOST, world.issuer.authorize(begun.where))
        assert b"login_is_anothers" in answer.body


async def test_a_login_leads_back_into_the_portal_and_nowhere_else(world: DoorWorld):
    for onward in ("//elsewhere.example/", "https://elsewhere.example/", "/%5celsewhere", "x"):
        async with world.browser() as browser:
            begun = await browser.ask(HOST, f"/login?next={onward.replace(':', '%3A')}")
            if begun.status == 303:
                back = await browser.ask(HOST, world.issuer.authorize(begun.where))
                assert back.where == f"{PORTAL}/"


FORGED = {"nothing": "", "a guess": "A" * 43, "odd": "%00", "long": "A" * 6000}


@pytest.mark.parametrize("value", FORGED.values(), ids=list(FORGED))
async def test_a_forged_cookie_is_a_stranger_s(world: DoorWorld, value: str):
    async with world.browser() as browser:
        browser.cookies = {
            HOST: {"__Host-carrel": value},
            DESK_HOST: {"__Host-carrel-desk": value},
        }
        assert (await browser.ask(HOST, "/")).where.startswith("/login")
        assert (await browser.ask(DESK_HOST, "/lab", FRAMED)).status == 401


async def test_a_cookie_is_good_at_its_own_origin_alone(world: DoorWorld, ada: Browser):
    """Neither the portal's at a workspace, nor the other way, nor one workspace's at another."""
    portal = ada.cookies[HOST]["__Host-carrel"]
    desk = ada.cookies[DESK_HOST]["__Host-carrel-desk"]
    other = f"ws-other.{HOST}"
    async with world.browser() as thief:
        thief.cookies = {
            HOST: {"__Host-carrel": desk},
            DESK_HOST: {"__Host-carrel-desk": portal, "__Host-carrel": portal},
            other: {"__Host-carrel-desk": desk},
        }
        assert (await thief.ask(HOST, "/")).where.startswith("/login")
        assert (await thief.ask(DESK_HOST, "/api/status", FETCH)).rule == "login_is_missing"
        assert (await thief.ask(other, "/api/status", FETCH)).rule == "login_is_missing"


async def test_a_cookie_that_is_given_twice_is_none(world: DoorWorld, ada: Browser):
    desk = ada.cookies[DESK_HOST].pop("__Host-carrel-desk")
    twice = {**FETCH, "Cookie": f"__Host-carrel-desk={desk}; __Host-carrel-desk=x"}
    assert (await ada.ask(DESK_HOST, "/api/status", twice)).rule == "login_is_missing"
    assert world.server.asked == []


async def test_a_code_is_good_once_in_a_frame_and_for_its_workspace(ada: Browser):
    async def code() -> str:
        page = await ada.ask(HOST, f"/workspaces/{DESK}")
        return page.body.decode().partition("enter?code=")[2].partition('"')[0]

    path = f"/.carrel/enter?code={await code()}"
    assert (await ada.ask(DESK_HOST, path, FRAMED)).status == 303
    assert (await ada.ask(DESK_HOST, path, FRAMED)).status == 401
    alone = f"/.carrel/enter?code={await code()}"
    assert (await ada.ask(DESK_HOST, alone, VISIT)).status == 401
    astray = f"/.carrel/enter?code={await code()}"
    assert (await ada.ask(f"ws-other.{HOST}", astray, FRAMED)).status == 401
    assert (await ada.ask(DESK_HOST, astray, FRAMED)).status == 401


async def test_a_person_without_a_grant_sees_nothing_of_anybody(world: DoorWorld):
    async with world.browser() as browser:
        await browser.log_in("mallory")
        assert b"You hold no grant now" in (await browser.ask(HOST, "/")).body
        theirs = await browser.ask(HOST, f"/workspaces/{DESK}")
        nobodys = await browser.ask(HOST, "/workspaces/ws-nothing")
        assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body)
        assert theirs.status == 404


async def test_logging_out_ends_every_origin(ada: Browser):
    answer = await ada.ask(HOST, "/logout", FROM_PORTAL, method="POST")
    assert answer.where.startswith(f"{ISSUER}/logout?client_id=carrel-gateway")
    assert (await ada.ask(DESK_HOST, "/api/status", FETCH)).rule == "login_is_missing"
    assert (await ada.ask(HOST, "/")).where.startswith("/login")


@pytest.mark.parametrize(
    "origin", [f"https://{DESK_HOST}", "https://elsewhere.example", "null", ""]
)
async def test_nobody_else_s_page_logs_a_person_out(ada: Browser, origin: str):
    how = {**VISIT, **({"Origin": origin} if origin else {})}
    assert (await ada.ask(HOST, "/logout", how, method="POST")).status == 403
    assert (await ada.ask(HOST, "/")).status == 200


async def test_the_provider_ends_a_person_s_sockets(world: DoorWorld, ada: Browser):
    socket = await ada.socket("/api/kernels/0a1b2c3d-0000-4000-8000-000000000000/channels")
    token = world.issuer.logout_token(sub="ada")
    data = {"logout_token": token}
    ended = await ada.ask(SERVICE, "/backchannel-logout", FORM, method="POST", data=data)
    assert ended.status == 200
    await socket.receive()
    assert socket.closed
    (cut,) = await world.recorded("DoorCut")
    assert cut["detail"]["reason"] == "ended_by_provider"
    again = await ada.ask(SERVICE, "/backchannel-logout", FORM, method="POST", data=data)
    assert again.rule == "token_is_used_up"


async def test_nobody_else_ends_a_login(world: DoorWorld, ada: Browser):
    login = world.issuer.id_token(nonce="n")
    for token in ("", "x", "a.b.c", login, _unsigned(world.issuer)):
        answer = await ada.ask(
            SERVICE, "/backchannel-logout", FORM, method="POST", data={"logout_token": token}
        )
        assert answer.status == 400
    assert (await ada.ask(HOST, "/")).status == 200


async def test_a_login_ends_by_itself(world: DoorWorld, ada: Browser):
    world.clock.advance(timedelta(hours=10))
    await world.patch(GRANT, expires="2027-01-01T00:00:00Z")
    assert (await ada.ask(HOST, "/")).where.startswith("/login")
    assert (await ada.ask(DESK_HOST, "/api/status", FETCH)).rule == "login_is_missing"
    (ended,) = await world.recorded("LoginEnded")
    assert ended["detail"]["reason"] == "session_expired"
