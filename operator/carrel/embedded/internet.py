"""The pretend Internet: answers HTTP on port 80 of any address it holds, swallows DNS, writes both.

Every arrival is one JSON line, so that a test can prove that nothing, or something, got out.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from typing_extensions import override

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
    b"Connection: close\r\n\r\nthe internet"
)
_LONGEST_REQUEST: Final = 16 * 1024
_SECONDS: Final = 5
Note = Callable[..., None]


class _Datagrams(asyncio.DatagramProtocol):
    """A resolver that never answers."""

    def __init__(self, note: Note) -> None:
        self._note = note

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._note(protocol="udp", port=53, source=addr[0], length=len(data), content=data.hex())


def _writer(path: Path) -> Note:
    file = path.open("a", encoding="utf-8", buffering=1)

    def note(**what: object) -> None:
        file.write(json.dumps({"time": round(time.time(), 3), **what}) + "\n")

    return note


async def _serve(path: Path) -> None:
    note = _writer(path)
    web = await asyncio.start_server(lambda r, w: _web(note, r, w), "0.0.0.0", 80)  # noqa: S104  # a namespace of its own
    names = await asyncio.start_server(lambda r, w: _names(note, r, w), "0.0.0.0", 53)  # noqa: S104  # as above
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(note),
        local_addr=("0.0.0.0", 53),  # noqa: S104  # as above
    )
    async with web, names:
        await asyncio.gather(web.serve_forever(), names.serve_forever())


async def _web(note: Note, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    source, target = writer.get_extra_info("peername")[0], writer.get_extra_info("sockname")[0]
    try:
        async with asyncio.timeout(_SECONDS):
            request = await reader.read(_LONGEST_REQUEST)
            line = request.split(b"\r\n", 1)[0].decode("latin-1")
            note(protocol="http", port=80, source=source, target=target, content=line)
            writer.write(_ANSWER)
            await writer.drain()
    except (OSError, TimeoutError):
        note(protocol="http", port=80, source=source, target=target, content="")
    finally:
        writer.close()


async def _names(note: Note, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    source = writer.get_extra_info("peername")[0]
    data = b""
    try:
        async with asyncio.timeout(_SECONDS):
            data = await reader.read(_LONGEST_REQUEST)
    except (OSError, TimeoutError):
        pass
    finally:
        note(protocol="tcp", port=53, source=source, length=len(data), content=data.hex())
        writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
