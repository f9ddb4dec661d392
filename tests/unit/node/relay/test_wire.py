"""The DNS codec, with dnspython as the one who knows."""

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.node.relay import wire
from carrel.node.relay.wire import Code, Extended, Malformed, Question, Type

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=8)


def asked(name: dns.name.Name | str, kind: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]  # passed through


def understood(message: bytes) -> Question:
    found = wire.read(message)
    assert isinstance(found, Question)
    return found


@given(LABELS, st.integers(0, 65_535), st.sampled_from(Extended))
def test_every_name_that_fits_is_read_as_the_library_reads_it(
    labels: list[bytes], kind: int, extended: Extended
):
    try:
        name = dns.name.Name([*labels, b""])
    except dns.name.NameTooLong:
        return
    if kind == dns.rdatatype.OPT:
        return
    query = dns.message.make_query(name, kind, use_edns=0 if extended is Extended.YES else -1)
    found = understood(query.to_wire())
    assert found.ident == query.id
    assert found.qtype == kind
    assert found.qclass == wire.IN
    assert found.extended is extended
    # What is shown leads back to the very bytes that were asked.
    assert dns.name.from_text(found.name + ".") == name if labels else found.name == ""


@given(st.binary(max_size=600))
def test_no_bytes_whatever_raise(data: bytes):
    wire.read(data)


@given(st.binary(min_size=20, max_size=300))
def test_what_only_looks_like_a_query_gets_an_answer_that_the_library_can_read(tail: bytes):
    found = wire.read(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + tail)
    assert found is not None
    answer = (
        wire.malformed(found)
        if isinstance(found, Malformed)
        else wire.blocked(found, code=Code.NO_SUCH_NAME, text="egress.name_never_forwarded")
    )
    assert dns.message.from_wire(answer).id == 0x1234


def test_a_refusal_says_why_to_those_who_understand_extended_errors():
    query = dns.message.make_query("eViL.Example", "TXT", use_edns=0)
    refusal = wire.blocked(
        understood(query.to_wire()), code=Code.NO_SUCH_NAME, text="egress.name_never_forwarded"
    )
    answer = dns.message.from_wire(refusal)
    assert query.is_response(answer)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.question[0].name.to_text() == "eViL.Example."
    assert [option.to_text() for option in answer.options] == [
        "EDE 15 (Blocked): egress.name_never_forwarded"
    ]


def test_a_refusal_has_no_opt_record_for_those_who_sent_none():
    query = dns.message.make_query("evil.example", "A", use_edns=-1)
    answer = dns.message.from_wire(
        wire.blocked(understood(query.to_wire()), code=Code.NO_SUCH_NAME, text="some.rule")
    )
    assert query.is_response(answer)
    assert answer.edns == -1


def test_an_answer_holds_the_records_under_the_name_that_was_asked():
    query = dns.message.make_query("LocalHost", "A", use_edns=0)
    answer = dns.message.from_wire(
        wire.answer(understood(query.to_wire()), ((Type.A, bytes([127, 0, 0, 1])),))
    )
    assert query.is_response(answer)
    assert [each.to_text() for each in answer.answer] == ["LocalHost. 0 IN A 127.0.0.1"]
    assert answer.flags & dns.flags.AA


LONG = b"\x3f" + b"a" * 63
QUESTION = b"\x00\x01\x00\x01"
HEAD = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(HEAD + LONG * 4 + b"\x2b" + b"a" * 43 + b"\0" + QUESTION, 1, id="300 bytes"),
        pytest.param(HEAD + b"\xc0\x0c" + QUESTION, 1, id="a pointer to itself"),
        pytest.param(HEAD + b"\x01a\xc0\x0c" + QUESTION, 1, id="a loop of pointers"),
        pytest.param(HEAD + b"\x40" + b"a" * 64 + b"\0" + QUESTION, 1, id="a label of 64 bytes"),
        pytest.param(HEAD + b"\x05abc", 1, id="a label that is cut"),
        pytest.param(HEAD + b"\x03abc\0\0", 1, id="a question that is cut"),
        pytest.param(HEAD, 1, id="no question at all"),
        pytest.param(HEAD[:5] + b"\x02" + HEAD[6:] + b"\0" + QUESTION * 2, 1, id="two questions"),
        pytest.param(HEAD[:7] + b"\x01" + HEAD[8:] + b"\0" + QUESTION, 1, id="with an answer"),
        pytest.param(HEAD[:11] + b"\x01" + b"\0" + QUESTION + b"\0\0", 1, id="additional is cut"),
        pytest.param(b"\0\7\x28\0" + HEAD[4:] + b"\0" + QUESTION, 4, id="an update"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_a_code(message: bytes, code: int):
    found = wire.read(message)
    assert isinstance(found, Malformed)
    answer = dns.message.from_wire(wire.malformed(found))
    assert (answer.id, answer.rcode()) == (7, code)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEAD[:11],
        pytest.param(b"\0\7\x81\0" + HEAD[4:] + b"\0" + QUESTION, id="an answer"),
    ],
)
def test_what_must_not_be_answered_gets_no_answer(message: bytes):
    assert wire.read(message) is None


def test_odd_bytes_become_text_that_can_be_shown():
    name = dns.name.Name([b"a.b", b"\x00\xff\x1b[2J", "zürich".encode(), b""])
    assert understood(asked(name)).name == "a\\.b.\\000\\255\\027\\[2J.z\\195\\188rich"
