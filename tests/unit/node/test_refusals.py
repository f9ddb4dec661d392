"""What a researcher is shown of refusals: one decision and its words, and nothing of others'."""

import json
from pathlib import Path

import pytest

from carrel.kinds.egress import EgressAllowance, EgressPolicySpec, PackageList
from carrel.ledger import Activity
from carrel.node.telling import LATEST, Refusals, Word
from carrel.rules.egress import EgressRules, decide, egress_rules, refused_packet
from carrel.rules.egress_attempt import Connection

CLOSED = egress_rules("nothing", None)
LISTED = egress_rules(
    "imaging",
    EgressPolicySpec(
        title="Packages",
        allow=EgressAllowance.LISTED,
        packages=(PackageList(index="pypi", projects=("idna",)),),
    ),
)
MOMENT = "2026-03-09T09:00:00.000Z"


def packet(address: str = "203.0.113.1", **more: str | int) -> Word:
    detail: dict[str, str | int] = {
        "layer": "network",
        "direction": "out",
        "protocol": "tcp",
        "address": address,
        "count": 1,
        "first": MOMENT,
        "last": MOMENT,
        "port": 443,
        "user": 1000,
    }
    return Word(Activity.TRAFFIC_DENIED, {**detail, **more})


def lookup(name: str) -> Word:
    detail: dict[str, str | int] = {
        "layer": "dns",
        "direction": "out",
        "protocol": "udp",
        "address": "",
        "count": 1,
        "first": MOMENT,
        "last": MOMENT,
        "rule": "egress.name_never_forwarded",
        "sentence": "It was not looked up.",
        "todo": "Nothing.",
    }
    return Word(Activity.TRAFFIC_DENIED, detail, name)


def shown(refusals: Refusals, path: Path) -> dict[str, object]:
    refusals.write()
    told: dict[str, object] = json.loads(path.read_text())
    return told


@pytest.mark.parametrize("policy", [CLOSED, LISTED])
def test_a_refused_packet_is_explained_as_the_decision_explains_it(
    policy: EgressRules, tmp_path: Path
) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=policy)
    refusals.add(packet())
    ruling = decide(Connection(protocol="tcp", address="203.0.113.1", port=443), policy)
    assert shown(refusals, tmp_path / "pod.json") == {
        "refusals": [
            {
                "first": MOMENT,
                "last": MOMENT,
                "count": 1,
                "protocol": "tcp",
                "address": "203.0.113.1",
                "port": 443,
                "name": None,
                "layer": "network",
                "rule": ruling.rule,
                "sentence": ruling.sentence,
                "todo": ruling.todo,
            }
        ],
        "lost": 0,
        "total": 1,
    }


def test_a_new_policy_explains_what_was_refused_before_it(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=CLOSED)
    refusals.add(packet())
    refusals.write()
    refusals.rebind(LISTED)
    refusals.write()
    assert "egress.no_direct_connection" in (tmp_path / "pod.json").read_text()


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::", "no address"])
def test_a_packet_with_an_odd_address_is_refused_all_the_same(address: str) -> None:
    for policy, rule in (
        (CLOSED, "egress.nothing_allowed"),
        (LISTED, "egress.no_direct_connection"),
    ):
        ruling = refused_packet(Connection(protocol="other", address=address, port=None), policy)
        assert (ruling.outcome.value, ruling.rule.value) == ("refused", rule)
        assert "A packet (other)" in ruling.sentence


@pytest.mark.parametrize(
    "word",
    [
        packet(direction="in"),
        lookup("canary-7.example"),
        Word(
            Activity.TRAFFIC_DENIED,
            {
                key: value
                for key, value in packet("ff02::2", protocol="icmpv6").detail.items()
                if key != "user"
            },
        ),
    ],
    ids=["from outside", "the gate's", "the kernel's own"],
)
def test_what_the_researcher_did_not_try_is_not_shown(word: Word, tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=CLOSED)
    refusals.add(word)
    refusals.add(lookup("evil.example"))
    told = shown(refusals, tmp_path / "pod.json")
    assert told["total"] == 1
    assert "evil.example" in json.dumps(told)


def test_a_multicast_that_a_user_sends_is_shown(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=CLOSED)
    refusals.add(packet("ff02::2", protocol="icmpv6"))
    assert shown(refusals, tmp_path / "pod.json")["total"] == 1


def test_the_list_keeps_the_latest_and_the_sum_of_all(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=CLOSED)
    for number in range(LATEST + 5):
        refusals.add(packet(port=number))
    refusals.add(Word(Activity.TRAFFIC_LOST, {"layer": "dns", "count": 7}))
    told = shown(refusals, tmp_path / "pod.json")
    listed = told["refusals"]
    assert isinstance(listed, list)
    assert [each["port"] for each in listed] == list(range(5, LATEST + 5))
    assert (told["total"], told["lost"]) == (LATEST + 5, 7)


def test_a_list_that_begins_anew_holds_nothing(tmp_path: Path) -> None:
    refusals = Refusals(tmp_path / "pod.json", policy=CLOSED)
    refusals.add(packet())
    refusals.clear()
    assert shown(refusals, tmp_path / "pod.json") == {"refusals": [], "lost": 0, "total": 0}
