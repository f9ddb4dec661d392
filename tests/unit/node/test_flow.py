"""What a refused packet says, whatever its bytes are."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.node.flow import NOT_IP, Direction, Flow, Question, flow_of, read_question
from carrel.node.nflog import read_batch

V4, V6 = 0x0800, 0x86DD
OUT = Direction.OUT


def ipv4(rest: bytes, *, protocol: int = 17, fragment: int = 0, options: bytes = b"") -> bytes:
    start = bytes([0x45 + len(options) // 4, 0, 0, 0, 0, 0]) + struct.pack("!H", fragment)
    return start + bytes([64, protocol, 0, 0, 10, 0, 0, 2, 8, 8, 8, 8]) + options + rest


def ipv6(rest: bytes, *, following: int = 17) -> bytes:
    near, far = bytes(15) + b"\1", bytes.fromhex("20010db8") + bytes(11) + b"\1"
    return bytes([0x60, 0, 0, 0, 0, 0, following, 64]) + near + far + rest


PORTS = struct.pack("!HHHH", 4000, 443, 8, 0)


@pytest.mark.parametrize(
    ("packet", "ethertype", "flow"),
    [
        (ipv4(PORTS), V4, Flow(OUT, "8.8.8.8", 17, 443, None)),
        (ipv4(PORTS, options=bytes(8)), V4, Flow(OUT, "8.8.8.8", 17, 443, None)),
        (ipv4(PORTS, fragment=7), V4, Flow(OUT, "8.8.8.8", 17, None, None)),
        (ipv4(PORTS, protocol=1), V4, Flow(OUT, "8.8.8.8", 1, None, None)),
        (ipv4(b"\0\1"), V4, Flow(OUT, "8.8.8.8", 17, None, None)),
        (ipv6(PORTS), V6, Flow(OUT, "2001:db8::1", 17, 443, None)),
        (
            ipv6(b"\x11\0" + bytes(6) + PORTS, following=60),
            V6,
            Flow(OUT, "2001:db8::1", 17, 443, None),
        ),
        (
            ipv6(b"\x11\0\0\x08" + bytes(4), following=44),
            V6,
            Flow(OUT, "2001:db8::1", 17, None, None),
        ),
        (ipv6(b"\x00\xff", following=0), V6, Flow(OUT, "2001:db8::1", 0, None, None)),
        (b"", V4, Flow(OUT, "", NOT_IP, None, None)),
        (ipv4(PORTS), V6, Flow(OUT, "", NOT_IP, None, None)),
        (b"arp", 0x0806, Flow(OUT, "", NOT_IP, None, None)),
    ],
)
def test_a_packet_is_read_as_far_as_it_goes(packet: bytes, ethertype: int, flow: Flow) -> None:
    assert flow_of(packet, direction=OUT, ethertype=ethertype) == flow


def test_what_wanted_in_is_named_by_where_it_came_from() -> None:
    flow = flow_of(ipv4(PORTS), direction=Direction.IN, ethertype=V4)
    assert flow == Flow(Direction.IN, "10.0.0.2", 17, 443, None)


def test_a_frame_is_read_behind_its_vlan_tags() -> None:
    frame = bytes(12) + b"\x81\0\0\1\x81\0\0\2\x08\0" + ipv4(PORTS)
    flow = flow_of(frame, direction=Direction.WIRE, ethertype=0)
    assert flow == Flow(Direction.WIRE, "8.8.8.8", 17, 443, None)


@pytest.mark.parametrize(
    ("raw", "question"),
    [
        (b"\x03www\x07example\x00\x00\x10\x00\x01", Question("www.example", 16)),
        (b"\x00\x00\x01\x00\x01", Question(".", 1)),
        (b"\x04a.b\\\x01\xff\x00\x00\x01", Question("a\\046b\\092.\\255", 1)),
        (b"\x03ab\n\x00", Question("ab\\010", None)),
        (b"\x3f" + b"x" * 10, Question("x" * 10 + "?", None)),
        (b"\xc0\x0c", Question("?", None)),
        (b"", Question("?", None)),
        (
            (b"\x3f" + b"y" * 63) * 4 + b"\x2c" + b"z" * 44,
            Question(".".join(["y" * 63] * 4 + ["z" * 44, "?"]), None),
        ),
    ],
)
def test_a_question_is_shown_escaped_whatever_its_bytes(raw: bytes, question: Question) -> None:
    assert read_question(raw) == question


@given(st.binary(max_size=400))
def test_no_question_raises_or_prints_what_is_not_ascii(raw: bytes) -> None:
    name = read_question(raw).name
    assert name.isascii()
    assert name.isprintable()


@given(st.binary(max_size=200), st.sampled_from(Direction), st.sampled_from([V4, V6, 0x8100]))
def test_no_packet_raises(packet: bytes, direction: Direction, ethertype: int) -> None:
    assert flow_of(packet, direction=direction, ethertype=ethertype).direction is direction


@given(st.binary(max_size=600))
def test_no_batch_raises(data: bytes) -> None:
    batch = read_batch(data)
    assert batch is None or batch.packets.total() > 0
