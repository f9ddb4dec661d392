"""The handover of open sockets: what is given is told, kept, and outlives both ends."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.node.handover import (
    SOCKET,
    Binding,
    Handed,
    Handover,
    HandoverError,
    Kind,
    Synced,
    encode,
    receive,
)
from carrel.node.holder import Holder
from support.loopback import STROKE

BINDING = replace(STROKE, pod_uid="0a-1", netns=4026531840)


@asynccontextmanager
async def holder(directory: Path) -> AsyncIterator[Handover]:
    running = asyncio.create_task(Holder(directory).run())
    await asyncio.sleep(0)
    try:
        yield Handover(directory)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_what_was_put_is_told_to_who_looks_on_later(tmp_path: Path) -> None:
    mine, other = socket.socketpair()
    with mine, other:
        async with holder(tmp_path) as handover:
            await handover.put(Kind.NFLOG, other.fileno(), BINDING)
            watching = handover.watch()
            handed = await anext(watching)
            assert isinstance(handed, Handed)
            assert (handed.pod_uid, handed.kind, handed.binding) == ("0a-1", Kind.NFLOG, BINDING)
            assert await anext(watching) == Synced()
            assert handed.descriptor is not None
            mine.send(b"through the holder")
            assert os.read(handed.descriptor, 100) == b"through the holder"
            os.close(handed.descriptor)
            await watching.aclose()


async def test_what_is_dropped_is_taken_back(tmp_path: Path) -> None:
    mine, other = socket.socketpair()
    with mine, other:
        async with holder(tmp_path) as handover:
            watching = handover.watch()
            assert await anext(watching) == Synced()
            await handover.put(Kind.DESK, other.fileno(), BINDING)
            handed = await anext(watching)
            assert isinstance(handed, Handed)
            assert handed.descriptor is not None
            os.close(handed.descriptor)
            assert await handover.drop("0a-1/") == 1
            assert await anext(watching) == Handed("0a-1", Kind.DESK, None, None)
            await watching.aclose()


async def test_a_new_holder_is_told_apart_only_by_what_differs(tmp_path: Path) -> None:
    mine, other = socket.socketpair()
    changed = replace(BINDING, egress_policy_spec="{}")
    with mine, other:
        async with holder(tmp_path) as handover:
            await handover.put(Kind.DNS_UDP, other.fileno(), BINDING)
            await handover.put(Kind.DNS_TCP, mine.fileno(), BINDING)
            watching = handover.watch()
            for _ in range(2):
                handed = await anext(watching)
                assert isinstance(handed, Handed)
                assert handed.descriptor is not None
                os.close(handed.descriptor)
            assert await anext(watching) == Synced()
        async with holder(tmp_path) as handover:
            await handover.put(Kind.DNS_UDP, other.fileno(), changed)
            told = await anext(watching)
            assert isinstance(told, Handed)
            if told.binding is None:  # it looked before we gave
                told = await anext(watching)
            while not (isinstance(told, Handed) and told.binding):
                told = await anext(watching)
            assert told.binding == changed
            assert told.descriptor is not None
            os.close(told.descriptor)
            await watching.aclose()


async def test_a_new_binding_is_told_with_the_socket_that_is_kept(tmp_path: Path) -> None:
    mine, other = socket.socketpair()
    changed = replace(BINDING, egress_policy_spec="{}")
    with mine, other:
        async with holder(tmp_path) as handover:
            await handover.put(Kind.MIRROR, other.fileno(), BINDING)
            watching = handover.watch()
            first = await anext(watching)
            assert isinstance(first, Handed)
            assert await anext(watching) == Synced()
            # The same again is no news: nobody who is being served should notice.
            await handover.bind(Kind.MIRROR, BINDING)
            await handover.bind(Kind.MIRROR, changed)
            told = await anext(watching)
            assert isinstance(told, Handed)
            assert (told.kind, told.binding) == (Kind.MIRROR, changed)
            assert first.descriptor is not None
            assert told.descriptor is not None
            assert os.path.sameopenfile(first.descriptor, told.descriptor)
            os.close(first.descriptor)
            os.close(told.descriptor)
            await watching.aclose()


async def test_nothing_is_bound_that_was_not_put(tmp_path: Path) -> None:
    async with holder(tmp_path) as handover:
        with pytest.raises(HandoverError, match="nothing_is_kept"):
            await handover.bind(Kind.DESK, BINDING)


async def test_without_a_holder_giving_fails_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(HandoverError, match=r"nobody_answers.*holder"):
        await Handover(tmp_path).drop("0a-1/")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"[]", "message_is_not_understood"),
        (b"\xff{", "utf-8"),
        (b'{"op":"put","name":"0a-1/desk","meta":{}}', "message_is_not_understood"),
        (b'{"op":"drop","prefix":""}', "message_is_not_understood"),
        (b"[" * 60_000, "recursion"),
    ],
)
async def test_what_is_not_understood_is_refused_and_the_holder_stays(
    tmp_path: Path, message: bytes, why: str
) -> None:
    async with holder(tmp_path) as handover:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.connect(str(tmp_path / SOCKET))
            channel.send(message)
            channel.setblocking(False)
            answer = await asyncio.get_running_loop().sock_recv(channel, 65_536)
        assert why in answer.decode()
        assert await handover.drop("0a-1/") == 0


async def test_a_file_is_no_socket(tmp_path: Path) -> None:
    async with holder(tmp_path) as handover:
        with (tmp_path / "file").open("w") as file, pytest.raises(HandoverError, match="no_socket"):
            await handover.put(Kind.DESK, file.fileno(), BINDING)


async def test_a_binding_of_another_pod_is_refused(tmp_path: Path) -> None:
    mine, other = socket.socketpair()
    with mine, other:
        async with holder(tmp_path) as handover:
            message = {"op": "put", "name": "0b/desk", "meta": dict(BINDING.__dict__)}
            with pytest.raises(HandoverError, match="another_pod"):
                await handover._ask(message, [mine.fileno()])


def test_a_message_with_too_many_descriptors_is_refused_and_none_is_leaked() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine, other:
        socket.send_fds(mine, [b"{}"], [0] * 20)
        with pytest.raises(HandoverError, match="message_is_cut"):
            receive(other)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_policy_that_does_not_fit_is_refused_by_size() -> None:
    with pytest.raises(HandoverError, match="message_is_too_long"):
        encode({"policy": "x" * 65_536})


@pytest.mark.parametrize("field", ["pod_uid", "netns", "on_recorder_loss"])
def test_a_binding_that_lacks_a_field_is_refused_by_name(field: str) -> None:
    raw = dict(BINDING.__dict__)
    del raw[field]
    with pytest.raises(HandoverError, match=field):
        Binding.read(raw)
