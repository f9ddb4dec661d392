"""The forwarder from the host's loopback to the front door."""

import asyncio
import socket
import struct

import pytest

from carrel.embedded.warden import _carry

pytestmark = pytest.mark.loopback


async def test_what_the_front_door_takes_away_goes_at_the_browser_too():
    """A browser that says nothing would otherwise keep a connection that leads nowhere."""
    taken: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await taken.put(writer)

    behind = await asyncio.start_server(door, "127.0.0.1", 0)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(*behind.sockets[0].getsockname())
        await _carry((reader, writer), there)

    before = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with behind, before:
        reader, writer = await asyncio.open_connection(*before.sockets[0].getsockname())
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        connection = (await taken.get()).transport
        found = connection.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.abort()
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
