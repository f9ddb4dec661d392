"""Secrets of the demo's identity provider: made once, kept, and the realm made anew from them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from carrel.cluster import Ref
from carrel.cluster.refs import SECRET
from carrel.flows.clock import FixedClock
from carrel.flows.realm_secrets import CLIENTS, PEOPLE, REALM_SECRET, Account, ensure_realm
from carrel.render.realm import Client, RealmAddresses, RealmPerson, realm
from support.fake_cluster import FakeCluster

PLACE = "carrel-system"
ADDRESSES = RealmAddresses(
    portal="https://carrel.example", hub="https://hub.carrel.example", gateway="https://gateway"
)
ADA = Account(username="ada", subject="demo-ada", administers=False)
EVE = Account(username="eve", subject="demo-eve", administers=True)


@pytest.fixture
async def cluster() -> FakeCluster:
    """Hold the platform's namespace and nothing in it."""
    fake = FakeCluster(now=FixedClock(datetime(2027, 1, 1, tzinfo=UTC)).now)
    await fake.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    fake.writes.clear()
    return fake


async def _ensure(
    cluster: FakeCluster, *people: Account, addresses: RealmAddresses = ADDRESSES
) -> tuple[str, ...]:
    return await ensure_realm(cluster, namespace=PLACE, addresses=addresses, people=people)


def _entries(cluster: FakeCluster, name: str) -> dict[str, str]:
    data = cluster.objects[Ref(SECRET, name, PLACE)]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _described(cluster: FakeCluster) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_entries(cluster, REALM_SECRET)["realm.json"])
    return found


async def test_the_realm_is_described_with_the_secrets_that_were_made(cluster: FakeCluster):
    await _ensure(cluster, ADA, EVE)
    clients, people = _entries(cluster, CLIENTS), _entries(cluster, PEOPLE)
    assert set(people) == {"ada", "eve"}
    assert _described(cluster) == realm(
        ADDRESSES,
        secrets={each: clients[each.value] for each in Client},
        people=[
            RealmPerson(
                username=each.username,
                subject=each.subject,
                password=people[each.username],
                administers=each.administers,
            )
            for each in (ADA, EVE)
        ],
    )


async def test_no_two_secrets_are_equal_and_none_can_be_guessed(cluster: FakeCluster):
    await _ensure(cluster, ADA, EVE)
    made = [*_entries(cluster, CLIENTS).values(), *_entries(cluster, PEOPLE).values()]
    assert len(set(made)) == 5
    assert min(len(each) for each in made) >= 20


async def test_a_second_run_writes_nothing(cluster: FakeCluster):
    await _ensure(cluster, ADA)
    cluster.writes.clear()
    assert (await _ensure(cluster, ADA), cluster.writes) == ((), [])


async def test_another_address_or_person_renews_the_realm_and_no_secret(cluster: FakeCluster):
    await _ensure(cluster, ADA)
    clients, ada = _entries(cluster, CLIENTS), _entries(cluster, PEOPLE)["ada"]
    moved = RealmAddresses(
        portal="https://moved.example", hub="https://hub.moved.example", gateway="https://gateway"
    )
    done = await _ensure(cluster, ADA, EVE, addresses=moved)
    assert done == (
        f"made secrets of eve (Secret {PEOPLE})",
        f"described the realm (Secret {REALM_SECRET})",
    )
    assert (_entries(cluster, CLIENTS), _entries(cluster, PEOPLE)["ada"]) == (clients, ada)
    redirects = {each["clientId"]: each["redirectUris"] for each in _described(cluster)["clients"]}
    assert redirects["carrel-gateway"] == ["https://moved.example/login/callback"]


async def test_an_entry_that_was_emptied_is_made_anew(cluster: FakeCluster):
    await _ensure(cluster, ADA)
    stored = cluster.objects[Ref(SECRET, CLIENTS, PLACE)]
    hub = stored["data"]["hub"]
    stored["data"]["gateway"] = ""
    await _ensure(cluster, ADA)
    entries = cluster.objects[Ref(SECRET, CLIENTS, PLACE)]["data"]
    assert entries["hub"] == hub
    assert entries["gateway"]
