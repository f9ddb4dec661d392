"""The one process of an instance on the host: starts the rest, forwards the front door, cleans up.

Its death, however it comes, ends the instance: the kernel sends SIGKILL down the chain warden ->
`unshare` -> first process of the PID namespace, and with that one goes everything inside.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from carrel.embedded import remains
from carrel.embedded.instance import FRONT_DOOR_NODE_PORT, Instance, hold_alive, read_instance

_NAMESPACES: Final = (
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
    "--ipc",
)
_DIE_WITH_ME: Final = ("setpriv", "--pdeathsig", "KILL", "--")
_CHUNK: Final = 64 * 1024


async def run(instance: Instance) -> None:
    """Return when the instance has ended, for whatever reason, and the host is clean."""
    with hold_alive(instance):
        (instance.state / "warden.pid").write_text(str(os.getpid()), encoding="ascii")
        first = await asyncio.create_subprocess_exec(
            *_DIE_WITH_ME,
            *("nsenter", f"--net=/run/netns/{instance.netns}"),
            *("unshare", *_NAMESPACES),
            *(sys.executable, "-m", "carrel.embedded.supervisor", instance.name),
        )
        await _note_first_process(instance, parent=first)
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        internet = asyncio.create_task(_keep_internet(instance))
        door = await asyncio.start_server(
            lambda r, w: _forward(instance, r, w), "127.0.0.1", instance.port
        )
        ended = asyncio.create_task(first.wait())
        asked = asyncio.create_task(told.wait())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        door.close()
        internet.cancel()
        with suppress(asyncio.CancelledError):
            await internet
        if not ended.done():
            with suppress(ProcessLookupError):
                os.kill(_first_process(instance), signal.SIGTERM)
            await ended
        asked.cancel()
        remains.clean(instance)


def _first_process(instance: Instance) -> int:
    return int((instance.state / "init.pid").read_text(encoding="ascii"))


async def _note_first_process(instance: Instance, *, parent: asyncio.subprocess.Process) -> None:
    """Write the host's number of process 1: `unshare` forks it, so it is the child's child."""
    listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while parent.returncode is None:
        with suppress(FileNotFoundError):
            if found := _read(listed).split():
                (instance.state / "init.pid").write_text(found[0], encoding="ascii")
                return
        await asyncio.sleep(0.01)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")


async def _keep_internet(instance: Instance) -> None:
    """Run the pretend Internet, again whenever it ends."""
    while True:
        process = await asyncio.create_subprocess_exec(
            *_DIE_WITH_ME,
            *("nsenter", f"--net=/run/netns/{instance.internet_netns}"),
            *(sys.executable, "-m", "carrel.embedded.internet"),
            str(instance.logs / "internet.jsonl"),
        )
        try:
            await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        await asyncio.sleep(1)


async def _forward(
    instance: Instance, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry one connection to the front door; nobody there yet means it is closed at once."""
    try:
        there = await asyncio.open_connection(instance.node_ip, FRONT_DOOR_NODE_PORT)
    except OSError:
        writer.close()
        return
    await _carry((reader, writer), there)


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _carry(here: _End, there: _End) -> None:
    """Carry both ways until either end goes.

    What the gateway takes away must go at the browser too: waiting for both ends would leave the
    browser's open until it says something.
    """
    ways = [
        asyncio.create_task(_copy(here[0], there[1])),
        asyncio.create_task(_copy(there[0], here[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for _, writer in (here, there):
            writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while block := await source.read(_CHUNK):
            target.write(block)
            await target.drain()
    except OSError:
        # Broken, not ended: what waits here for a slow reader is not sent any more either.
        target.transport.abort()
    with suppress(OSError, RuntimeError):
        target.write_eof()


def main() -> None:
    """Entry point: `python -m carrel.embedded.warden NAME` on the host."""
    instance = read_instance(sys.argv[1])
    if instance is None:
        raise SystemExit(f"There is no instance {sys.argv[1]!r} in the state root.")
    asyncio.run(run(instance))


if __name__ == "__main__":
    main()
