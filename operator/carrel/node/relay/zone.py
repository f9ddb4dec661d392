"""The names that exist inside a workspace, and what becomes of every other."""

import ipaddress
from dataclasses import dataclass

from carrel.node.relay import wire
from carrel.node.relay.wire import Code, Question, Type
from carrel.rules.egress import EgressRules, Outcome, Ruling, decide
from carrel.rules.egress_attempt import NameLookup

_LOOPBACK = {
    Type.A: ipaddress.IPv4Address("127.0.0.1").packed,
    Type.AAAA: ipaddress.IPv6Address("::1").packed,
}
_REVERSE = frozenset({"1.0.0.127.in-addr.arpa", "1." + "0." * 31 + "ip6.arpa"})
_LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question, and the ruling that refused it where one did."""

    message: bytes
    refused: Ruling | None


def reply(question: Question, *, own_name: str, policy: EgressRules) -> Reply:
    """Answer a question from what is known here; nobody else is ever asked.

    Parameters
    ----------
    question
        What is asked.
    own_name
        Name of the pod, which programs look up to learn their own address.
    policy
        The policy of the grant.
    """
    kind = wire.type_name(question.qtype)
    ours = question.qclass in {wire.IN, wire.ANY}
    if ours and question.name.lower() in _REVERSE:
        # The reverse of the loopback address is as local as the address itself.
        return Reply(wire.answer(question, _pointer(question.qtype)), None)
    attempt = NameLookup(name=question.name, record_type=kind, own_name=own_name)
    ruling = decide(attempt, policy)
    if ruling.outcome is Outcome.ALLOWED:
        return Reply(wire.answer(question, _loopback(question.qtype) if ours else ()), None)
    message = wire.blocked(question, code=Code.NO_SUCH_NAME, text=ruling.rule)
    return Reply(message, ruling)


def _loopback(qtype: int) -> tuple[tuple[Type, bytes], ...]:
    return tuple((kind, data) for kind, data in _LOOPBACK.items() if qtype in {kind, wire.ANY})


def _pointer(qtype: int) -> tuple[tuple[Type, bytes], ...]:
    asked = qtype in {Type.PTR, wire.ANY}
    return ((Type.PTR, wire.name_to_wire(_LOCALHOST)),) if asked else ()
