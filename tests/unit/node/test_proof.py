"""What counts as proof that the lock holds."""

import json
from dataclasses import replace

import pytest

from carrel.node.canaries import Canary, Outcome, Target
from carrel.node.nft import Refused
from carrel.node.proof import (
    Admit,
    NoProofError,
    destination,
    judge,
    parse_canaries,
    targets,
)
from carrel.render.nft import Counter

ASKED = targets(
    node_addresses=("10.0.0.1",), name_servers=("10.96.0.10",), api_server=("10.96.0.1", 443)
)
TRIED = ("internet-tcp", "internet-udp", "metadata", "api-server", "dns-0", "node-0")
ABSENT = frozenset(target.name for target in ASKED) - set(TRIED)
FLOWN = tuple(
    Canary(t.name, Outcome.BLOCKED if t.name in TRIED else Outcome.ABSENT, 20) for t in ASKED
)
BEFORE = Refused(counters=dict.fromkeys(Counter, 7))
AFTER = Refused(
    counters={**dict.fromkeys(Counter, 7), Counter.TOTAL: 13, Counter.TCP: 11, Counter.UDP: 9},
    destinations={destination(t): 1 for t in ASKED if t.name in TRIED},
)


def _with(name: str, outcome: Outcome) -> tuple[Canary, ...]:
    return tuple(replace(c, outcome=outcome) if c.name == name else c for c in FLOWN)


def _without(*names: str) -> Refused:
    kept = [target for target in ASKED if target.name in TRIED and target.name not in names]
    return replace(AFTER, destinations={destination(target): 1 for target in kept})


def test_refusals_that_the_kernel_counted_are_proof() -> None:
    verdict = judge(ASKED, FLOWN, before=BEFORE, after=AFTER, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.YES, "Proven")


@pytest.mark.parametrize("target", ASKED, ids=lambda target: target.name)
def test_whatever_gets_through_is_no_proof(target: Target) -> None:
    flown = _with(target.name, Outcome.OPEN)
    verdict = judge(ASKED, flown, before=BEFORE, after=AFTER, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "CanaryGotThrough")


@pytest.mark.parametrize("name", TRIED)
def test_absence_that_the_agent_does_not_see_is_no_proof(name: str) -> None:
    flown = _with(name, Outcome.ABSENT)
    verdict = judge(ASKED, flown, before=BEFORE, after=AFTER, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "AbsenceNotAttested")


@pytest.mark.parametrize("name", ["internet-tcp", "internet-udp", "metadata", "node-0"])
def test_a_refusal_that_was_not_counted_for_its_destination_is_no_proof(name: str) -> None:
    verdict = judge(ASKED, FLOWN, before=BEFORE, after=_without(name), absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "NotCounted")
    assert name in verdict.message


def test_a_service_address_may_have_been_exchanged_before_the_lock_saw_it() -> None:
    after = _without("api-server", "dns-0")
    verdict = judge(ASKED, FLOWN, before=BEFORE, after=after, absent=ABSENT)
    assert verdict.admit is Admit.YES


@pytest.mark.parametrize("counter", [Counter.TCP, Counter.UDP, Counter.TOTAL])
def test_counters_must_rise_by_every_refusal(counter: Counter) -> None:
    after = replace(AFTER, counters={**AFTER.counters, counter: AFTER.counters[counter] - 1})
    verdict = judge(ASKED, FLOWN, before=BEFORE, after=after, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "NotCounted")


def test_a_canary_left_out_is_no_proof() -> None:
    verdict = judge(ASKED, FLOWN[1:], before=BEFORE, after=AFTER, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "CanariesMissing")


def test_a_canary_told_twice_is_no_proof() -> None:
    flown = (*FLOWN[:-1], FLOWN[0])
    verdict = judge(ASKED, flown, before=BEFORE, after=AFTER, absent=ABSENT)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "CanariesMissing")


def test_nothing_that_could_be_tried_is_no_proof() -> None:
    flown = tuple(Canary(t.name, Outcome.ABSENT, 1) for t in ASKED)
    everything = frozenset(target.name for target in ASKED)
    verdict = judge(ASKED, flown, before=BEFORE, after=BEFORE, absent=everything)
    assert (verdict.admit, verdict.reason) == (Admit.NO, "NothingTried")


def test_a_report_reads_back() -> None:
    wire = {"name": "internet-tcp", "outcome": "Blocked", "microseconds": 20}
    line = json.dumps({"nonce": "n", "canaries": [wire]}).encode() + b"\n"
    assert parse_canaries(line, nonce="n") == (Canary("internet-tcp", Outcome.BLOCKED, 20),)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]\n",
        b"nonsense\n",
        b'{"nonce": "other", "canaries": []}\n',
        b'{"nonce": "n", "canaries": {}}\n',
        b'{"nonce": "n", "canaries": [{"name": "x"}]}\n',
        b'{"nonce": "n", "canaries": [{"name": "x", "outcome": "Fine", "microseconds": 1}]}\n',
        b"[" * 10_000 + b"\n",
        b'{"nonce": "n", "canaries": []}' + b" " * 20_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_report_for_this_question_is_refused(line: bytes) -> None:
    with pytest.raises(NoProofError):
        parse_canaries(line, nonce="n")
