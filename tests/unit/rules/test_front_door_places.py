"""Origins of the front door, budgets, pages, and the two services beside it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.render.door_pages import Desk, Links, days_left, frame_page, list_page, refusal_page
from carrel.rules.front_door import Refused
from carrel.rules.front_door_beside import Beside, judge_beside
from carrel.rules.front_door_budget import Budget, Spent
from carrel.rules.front_door_headers import beside_to_browser, beside_to_server
from carrel.rules.front_door_place import FrontDoor, Place, PlaceKind
from carrel.rules.front_door_progress import Progress, Stage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR = FrontDoor(host="carrel.localhost", port=8443)
PLACES = {
    "carrel.localhost:8443": Place(kind=PlaceKind.PORTAL),
    "hub.carrel.localhost:8443": Place(kind=PlaceKind.HUB),
    "id.carrel.localhost:8443": Place(kind=PlaceKind.IDENTITY),
    "ws-a.carrel.localhost:8443": Place(kind=PlaceKind.WORKSPACE, workspace="ws-a"),
    "carrel.localhost": None,
    "WS-A.carrel.localhost:8443": None,
    "ws-a.b.carrel.localhost:8443": None,
    "-a.carrel.localhost:8443": None,
    ".carrel.localhost:8443": None,
    "xcarrel.localhost:8443": None,
    "": None,
}


@pytest.mark.parametrize("host", PLACES)
def test_a_host_names_one_place_or_none(host: str):
    assert DOOR.place(host) == PLACES[host]


@given(label=st.from_regex(r"ws-[a-z0-9]{1,40}", fullmatch=True))
def test_the_origin_of_a_workspace_leads_back_to_it(label: str):
    host = DOOR.origin(label).removeprefix("https://")
    assert DOOR.place(host) == Place(kind=PlaceKind.WORKSPACE, workspace=label)


@given(limit=st.integers(0, 2**40), spent=st.integers(0, 2**41))
def test_a_budget_is_warned_of_before_it_is_held(limit: int, spent: int):
    budget = Budget(limit=limit)
    assert (budget.judge(spent) is Spent.ALL) == (spent >= limit)
    assert (budget.judge(spent) is Spent.LITTLE) == (spent * 5 < limit * 4 and limit > 0)


BESIDE = {
    (Beside.HUB, "GET", "/hub/spawn/ada/ws-a"): "/hub/spawn/ada/ws-a",
    (Beside.HUB, "POST", "/hub/spawn/ada/ws-a?_xsrf=a"): "/hub/spawn/ada/ws-a?_xsrf=a",
    (Beside.HUB, "GET", "/hub/api/users/ada/servers/ws-a/progress"): (
        "/hub/api/users/ada/servers/ws-a/progress"
    ),
    (Beside.HUB, "POST", "/hub/api/users/ada/tokens"): None,
    (Beside.HUB, "GET", "/hub/token"): None,
    (Beside.HUB, "POST", "/hub/api/shutdown"): None,
    (Beside.HUB, "GET", "/services/a"): None,
    (Beside.HUB, "GET", "/hub/../services/a"): None,
    (Beside.HUB, "TRACE", "/hub/home"): None,
    (Beside.IDENTITY, "GET", "/realms/carrel/protocol/openid-connect/auth?a=b"): (
        "/realms/carrel/protocol/openid-connect/auth?a=b"
    ),
    (Beside.IDENTITY, "GET", "/resources/abc/login.css"): "/resources/abc/login.css",
    (Beside.IDENTITY, "GET", "/admin/master/console/"): None,
    (Beside.IDENTITY, "GET", "/realms/master/account"): None,
    (Beside.IDENTITY, "GET", "/realms/carrel/%2e%2e/master"): None,
    (Beside.IDENTITY, "GET", "/metrics"): None,
}


@pytest.mark.parametrize("asked", BESIDE, ids=" ".join)
def test_browsers_reach_what_a_login_and_a_start_need(asked: tuple[Beside, str, str]):
    answer = judge_beside(*asked)
    expected = BESIDE[asked]
    if expected is None:
        assert isinstance(answer, Refused)
    else:
        assert answer == expected


def test_a_service_learns_the_way_from_us_and_gets_no_cookie_of_ours():
    sent = (
        ("Cookie", "__Host-carrel=secret; session=kept"),
        ("X-Forwarded-Host", "forged.example"),
        ("Forwarded", "host=forged.example"),
        ("Connection", "upgrade"),
        ("Accept", "*/*"),
    )
    got = beside_to_server(
        sent,
        host="id.carrel.localhost:8443",
        port=8443,
        remote="192.0.2.1",
        without=frozenset({"__Host-carrel"}),
    )
    assert got == (
        ("Cookie", "session=kept"),
        ("Accept", "*/*"),
        ("Host", "id.carrel.localhost:8443"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Host", "id.carrel.localhost:8443"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Proto", "https"),
    )
    names = [name for name, _ in beside_to_browser((("Transfer-Encoding", "chunked"), ("A", "b")))]
    assert names == ["A", "Strict-Transport-Security"]


HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize("stage", Stage)
def test_no_word_from_outside_is_read_as_a_page(stage: Stage):
    progress = Progress(stage=stage, sentence=HOSTILE, todo=HOSTILE)
    desk = Desk(
        workspace="ws-a",
        grant=HOSTILE,
        project=HOSTILE,
        purpose=HOSTILE,
        datasets=(HOSTILE,),
        ends=NOW,
        progress=progress,
    )
    links = Links(open="/workspaces/ws-a", start="https://hub.example/x?a=b&c=d")
    refused = Refused(rule=HOSTILE, status=403, sentence=HOSTILE, todo=HOSTILE)
    pages = (
        list_page([(desk, links)], now=NOW),
        frame_page(desk, enter="https://ws-a.example/", now=NOW, warning=HOSTILE),
        refusal_page(refused, home="/"),
    )
    for page in pages:
        assert "<script>alert" not in page
        assert " style=" not in page


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=8, hours=3), "8 days left"),
        (timedelta(hours=47), "47 hours left"),
        (timedelta(minutes=90), "1 hour left"),
        (timedelta(minutes=59), "less than an hour left"),
        (timedelta(0), "ended"),
    ],
)
def test_days_left_are_said_as_people_say_them(left: timedelta, words: str):
    assert days_left(NOW + left, now=NOW) == words
