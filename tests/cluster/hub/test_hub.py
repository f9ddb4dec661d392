"""A person at the Hub: logs in, opens and stops own workspaces, and gets nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from carrel.cluster import Cluster, Ref
from carrel.cluster.errors import ClusterError
from support.browsing import Browser, browser
from support.control_plane import ControlPlane
from support.hub_world import ACCOUNT, WORKSPACES, Hub, desk, say, stored
from support.keycloak import Keycloak

PASSWORD = "correct-horse-battery"  # noqa: S105 - lives for a test
READY = {
    "ViewReady": True,
    "HomeReady": True,
    "PolicyEnforced": True,
    "Started": True,
    "Locked": True,
    "Ready": True,
}


class Visitor:
    """A person with a browser at the Hub."""

    def __init__(self, page: Browser, hub: Hub, *, subject: str) -> None:
        self.page, self.hub, self.subject = page, hub, subject

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "X-XSRFToken": self.page.cookie(f"{self.hub.origin}/hub/", "_xsrf"),
            "Referer": f"{self.hub.origin}/hub/home",
        }

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request of the Hub's own pages; return status and JSON."""
        url = f"{self.hub.origin}/hub/api/{path}"
        async with self.page.session.request(
            method, url, headers=self._headers, json={} if body is None else body
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    def server(self, name: str, *, subject: str | None = None) -> str:
        """Return the path of a server."""
        return f"users/{subject or self.subject}/servers/ws-{name[-12:]}"

    async def open(self, name: str) -> tuple[int, Any]:
        """Ask for a workspace."""
        return await self.ask("POST", self.server(name))

    async def progress(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Yield what the page of a start shows."""
        url = f"{self.hub.origin}/hub/api/{self.server(name)}/progress"
        async with self.page.session.get(url, headers=self._headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))


async def _logged_in(hub: Hub, page: Browser, *, place: int) -> Visitor:
    status, _, text = await page.log_in(
        f"{hub.origin}/hub/home", username=f"person-{place}", password=PASSWORD
    )
    assert status == 200, text[:2000] + hub.log()[-3000:]
    visitor = Visitor(page, hub, subject="")
    status, me = await visitor.ask("GET", "user")
    assert status == 200, me
    visitor.subject = me["name"]
    return visitor


@pytest_asyncio.fixture
async def ada(hub: Hub, provider: Keycloak) -> AsyncIterator[Visitor]:
    """Return the first person, logged in."""
    async with browser((hub.authority, provider.authority)) as page:
        yield await _logged_in(hub, page, place=0)


async def _wait(cluster: Cluster, name: str, *, desired: str) -> None:
    async with asyncio.timeout(30):
        async for change in cluster.watch(WORKSPACES, namespace=name):
            if change.object.get("spec", {}).get("desired") == desired:
                return


async def test_a_person_is_who_the_issuer_says_letter_by_letter(hub: Hub, provider: Keycloak):
    """A grant for `demo-researcher` is none for `Demo-Researcher`."""
    names = []
    for place in (0, 1):
        async with browser((hub.authority, provider.authority)) as page:
            names.append((await _logged_in(hub, page, place=place)).subject)
    assert names == ["demo-researcher", "Demo-Researcher"]


async def test_opening_asks_for_the_workspace_and_tells_what_it_waits_for(
    ada: Visitor, cluster: Cluster
):
    name = "ws-open-a10000000001"
    await desk(cluster, name, researcher="demo-researcher")
    status, _ = await ada.open(name)
    assert status == 202
    await _wait(cluster, name, desired="Running")
    await say(cluster, name, ViewReady=False)
    told: list[str] = []
    async for event in ada.progress(name):
        told.append(event["message"])
        if "ViewReady is not there" in event["message"]:
            await say(cluster, name, ViewReady=True, HomeReady=True, PolicyEnforced=True)
        if "Waiting for a place" in event["message"]:
            await say(cluster, name, **READY)
        if event.get("ready"):
            break
    assert [each for each in told if each.startswith("Mounting 1 dataset.")]
    assert [each for each in told if each.startswith("Waiting for a place to run.")]
    status, user = await ada.ask("GET", "user")
    assert user["servers"][f"ws-{name[-12:]}"]["ready"] is True


async def test_stopping_asks_for_the_stop_and_keeps_the_workspace(ada: Visitor, cluster: Cluster):
    name = "ws-stop-a20000000002"
    await desk(cluster, name, researcher="demo-researcher")
    await ada.open(name)
    await _wait(cluster, name, desired="Running")
    await say(cluster, name, **READY)
    async for event in ada.progress(name):
        if event.get("ready"):
            break
    status, _ = await ada.ask("DELETE", ada.server(name))
    assert status == 202
    await _wait(cluster, name, desired="Stopped")
    await say(cluster, name, Stopped=True)
    assert (await stored(cluster, name))["spec"]["admission"] == "Open"


async def test_a_grant_that_is_not_in_force_is_refused_with_its_reason(
    ada: Visitor, cluster: Cluster
):
    name = "ws-shut-a30000000003"
    await desk(cluster, name, researcher="demo-researcher", admission="Closed")
    status, _ = await ada.open(name)
    told = [event async for event in ada.progress(name)]
    assert told[-1]["failed"] is True
    assert "lung-nodules is not in force" in told[-1]["message"]
    assert (status, (await stored(cluster, name))["spec"]["desired"]) == (202, "Stopped")


@pytest.mark.parametrize("researcher", ["Demo-Researcher", "somebody-else"])
async def test_nobody_opens_the_workspace_of_another(
    ada: Visitor, cluster: Cluster, researcher: str
):
    """Neither as one's own nor in the other's name."""
    digits = f"{len(researcher):012x}"
    name = f"ws-theirs-{digits}"
    await desk(cluster, name, researcher=researcher)
    await ada.open(name)
    told = [event async for event in ada.progress(name)]
    status, _ = await ada.ask("POST", ada.server(name, subject=researcher))
    assert told[-1]["failed"] is True
    assert status in {403, 404}
    assert (await stored(cluster, name))["spec"]["desired"] == "Stopped"


async def test_people_cannot_make_tokens(ada: Visitor):
    """A token would outlive the login that it came from."""
    status, _ = await ada.ask("POST", f"users/{ada.subject}/tokens", {"note": "mine"})
    assert status in {403, 404}


async def test_a_person_who_is_disabled_opens_nothing_more(
    hub: Hub, provider: Keycloak, cluster: Cluster
):
    """Also not by a request of a program that still holds the cookie."""
    name = "ws-left-a40000000004"
    await desk(cluster, name, researcher="demo-leaver")
    async with browser((hub.authority, provider.authority)) as page:
        leaver = await _logged_in(hub, page, place=2)
        await provider.disable("demo-leaver")
        status, _ = await leaver.open(name)
        assert status in {401, 403}, status
    assert (await stored(cluster, name))["spec"]["desired"] == "Stopped"


async def test_a_killed_hub_stops_nothing_and_finds_everything_again(
    hub: Hub, provider: Keycloak, cluster: Cluster
):
    name = "ws-kept-a50000000005"
    await desk(cluster, name, researcher="demo-researcher")
    async with browser((hub.authority, provider.authority)) as page:
        person = await _logged_in(hub, page, place=0)
        await person.open(name)
        await _wait(cluster, name, desired="Running")
        await say(cluster, name, **READY)
        async for event in person.progress(name):
            if event.get("ready"):
                break
        before = await stored(cluster, name)
        hub.kill()
        await asyncio.to_thread(hub.start)
        _, user = await person.ask("GET", "user")
        assert user["servers"][f"ws-{name[-12:]}"]["ready"] is True
    assert await stored(cluster, name) == before


async def test_the_hub_may_touch_nothing_but_the_wish(as_hub: Cluster, cluster: Cluster):
    """Whoever breaks into it opens no workspace, reads no pod and no secret."""
    name = "ws-held-a60000000006"
    await desk(cluster, name, researcher="demo-researcher", admission="Closed")
    assert await as_hub.whoami() == ACCOUNT
    for path in (
        "/api/v1/pods",
        "/api/v1/secrets",
        "/api/v1/namespaces",
        "/apis/carrel.dev/v1alpha1/accessgrants",
    ):
        assert (await as_hub.request("GET", path)).status == 403, path
    ref = Ref(WORKSPACES, name, name)
    for spec in ({"admission": "Open"}, {"selfCheck": "Imaging"}, {"nodes": ["node-2"]}):
        with pytest.raises(ClusterError, match="workspace-writer"):
            await as_hub.patch(ref, {"spec": spec}, manager="carrel-hub")
    with pytest.raises(ClusterError):
        await as_hub.delete(ref)
    await as_hub.patch(ref, {"spec": {"desired": "Running"}}, manager="carrel-hub")


async def test_what_the_hub_keeps_is_for_its_user_alone(hub: Hub, plane: ControlPlane):
    """Its volume holds the key of tokens at rest."""
    assert plane.server.poll() is None
    modes = {
        path.name: path.stat().st_mode & 0o077
        for path in (hub.folder / "state").iterdir()
        if path.name in {"crypt_key", "cookie_secret"}
    }
    assert modes == {"crypt_key": 0, "cookie_secret": 0}
