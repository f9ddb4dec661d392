"""What passes the door beside paths: header fields, origins and where a page is shown."""

import pytest

from carrel.rules.front_door import Refused, Traffic
from carrel.rules.front_door_headers import (
    content_security_policy,
    to_browser,
    to_workspace,
)
from carrel.rules.front_door_origin import Provenance, Shown, ShownAlone, judge_provenance

OWN, PORTAL = "https://ws-a.carrel.localhost", "https://carrel.localhost"


def test_a_workspace_sees_no_cookie_no_token_and_no_way():
    """Neither the person's session nor a header that a user of ours could mistake for ours."""
    sent = (
        ("Host", "ws-a.carrel.localhost"),
        ("Cookie", "__Host-carrel=secret"),
        ("Authorization", "Bearer secret"),
        ("Accept", "*/*"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-User", "forged"),
        ("Connection", "keep-alive, Accept"),
        ("Transfer-Encoding", "chunked"),
        ("Range", "bytes=0-"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Content-Type", "application/json"),
    )
    assert to_workspace(sent) == (("Accept", "*/*"), ("Content-Type", "application/json"))


def test_a_page_sets_no_cookie_and_names_no_file():
    """A workspace's answers are written by its user."""
    answered = (
        ("Content-Type", "text/html"),
        ("Set-Cookie", "__Host-carrel=mine"),
        ("Service-Worker-Allowed", "/"),
        ("Content-Disposition", "attachment; filename=all.csv"),
        ("Content-Security-Policy", "default-src *"),
        ("Access-Control-Allow-Origin", "*"),
        ("Refresh", "0; url=https://elsewhere.example/"),
        ("Link", "<https://elsewhere.example/>; rel=preconnect"),
        ("Location", "https://elsewhere.example/"),
        ("Clear-Site-Data", "*"),
        ("Cache-Control", "public, max-age=31536000"),
        ("ETag", '"a"'),
    )
    passed = to_browser(answered, traffic=Traffic.PAGE, own=OWN, portal=PORTAL)
    theirs = {name for name, _ in answered} & {name for name, _ in passed}
    assert theirs == {"Content-Type", "ETag", "Cache-Control", "Content-Security-Policy"}
    assert dict(passed)["Cache-Control"] == "no-store"
    policy = content_security_policy(own=OWN, portal=PORTAL)
    assert dict(passed)["Content-Security-Policy"] == policy
    assert len({name for name, _ in passed}) == len(passed)


def test_a_page_speaks_to_its_own_workspace_and_is_framed_by_the_portal_alone():
    """What a policy can close is closed."""
    policy = dict(
        part.split(" ", 1) for part in content_security_policy(own=OWN, portal=PORTAL).split("; ")
    )
    assert policy["connect-src"] == "'self' wss://ws-a.carrel.localhost"
    assert policy["frame-ancestors"] == PORTAL
    assert "*" not in " ".join(policy.values())


def _asked(**known: str) -> Provenance:
    traffic = Traffic(known.pop("traffic", "API"))
    return Provenance(
        method=known.pop("method", "GET"),
        traffic=traffic,
        host=known.pop("host", "ws-a.carrel.localhost"),
        **known,
    )


SHOWN = {
    "Lab asks for names": _asked(site="same-origin"),
    "Lab saves": _asked(method="PUT", origin=OWN, traffic="Contents"),
    "Lab speaks to a kernel": _asked(origin=OWN, traffic="KernelSocket"),
    "the portal frames it": _asked(site="same-site", destination="iframe", traffic="Page"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_page_of_the_workspace_may_ask(case: str):
    """And the portal may show it."""
    assert isinstance(judge_provenance(SHOWN[case], own=OWN, portal=PORTAL), Shown)


@pytest.mark.parametrize("site", ["none", "same-site", "cross-site"])
def test_a_page_that_is_visited_by_itself_is_sent_into_the_frame(site: str):
    """From a bookmark, from a sibling or from elsewhere."""
    asked = _asked(site=site, destination="document", traffic="Page")
    assert isinstance(judge_provenance(asked, own=OWN, portal=PORTAL), ShownAlone)


SIBLING = "https://ws-b.carrel.localhost"
REFUSED = {
    "a sibling's host": (_asked(host="ws-b.carrel.localhost"), "host_is_another"),
    "a host with a port of its own": (_asked(host="ws-a.carrel.localhost:1"), "host_is_another"),
    "a sibling fetches": (_asked(origin=SIBLING, site="same-site"), "origin_is_foreign"),
    "a sibling posts": (_asked(method="POST", origin=SIBLING), "origin_is_foreign"),
    "a sandboxed page posts": (_asked(method="POST", origin="null"), "origin_is_foreign"),
    "a sibling opens a socket": (
        _asked(origin=SIBLING, traffic="KernelSocket"),
        "origin_is_foreign",
    ),
    "a program opens a socket": (_asked(traffic="KernelSocket"), "origin_is_missing"),
    "a program deletes": (_asked(method="DELETE", traffic="Contents"), "origin_is_missing"),
    "a program reads": (_asked(traffic="Contents"), "page_is_foreign"),
    "a sibling shows a picture": (
        _asked(site="same-site", destination="image", traffic="Asset"),
        "page_is_foreign",
    ),
    "a stranger frames it": (
        _asked(site="cross-site", destination="iframe", traffic="Page"),
        "page_is_foreign",
    ),
    "a text file is visited": (
        _asked(site="none", destination="document", traffic="Contents"),
        "page_is_foreign",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_everybody_else_is_refused(case: str):
    """Siblings are of the same site, and still strangers."""
    asked, rule = REFUSED[case]
    answer = judge_provenance(asked, own=OWN, portal=PORTAL)
    assert isinstance(answer, Refused)
    assert answer.rule == rule
