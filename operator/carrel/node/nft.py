"""Loading the lock into a network namespace and reading back what the kernel holds."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from carrel.kinds.resource import Digest
from carrel.node.libnft import NftError, Output, call
from carrel.node.netns import NetworkNamespace, devices
from carrel.node.processes import PROC
from carrel.render.nft import (
    LOCK,
    WIRE,
    Counter,
    Counts,
    Doors,
    Lock,
    WireLayer,
    digest_of,
    rule_set,
)

_PATIENCE = 10.0


__all__ = [
    "Destination",
    "NftError",
    "Refused",
    "expected_digest",
    "load",
    "loaded_digest",
    "lock_for",
    "lock_of",
    "probe_wire_layer",
    "read_counters",
    "read_refused",
    "run_inside",
]


@dataclass(frozen=True)
class Destination:
    """Where refused packets wanted to go."""

    address: str
    protocol: int
    """Number of the protocol: nft writes its name only where /etc/protocols knows it."""
    port: int


@dataclass(frozen=True)
class Refused:
    """What the kernel counted."""

    counters: Mapping[Counter, int]
    """Packets of each named counter; one that is not there counts as 0."""
    destinations: Mapping[Destination, int] = field(default_factory=dict)
    """Packets of each destination."""


async def run_inside(namespace: NetworkNamespace, *command: str, text: str = "") -> str:
    """Run a command inside a namespace and return what it prints.

    Raises NftError when it refuses or does not end within 10 s.
    """
    process = await asyncio.create_subprocess_exec(
        "nsenter",
        f"--net=/proc/self/fd/{namespace.descriptor}",
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(namespace.descriptor,),
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate(text.encode())
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if isinstance(error, TimeoutError):
            raise NftError(f"{command[0]} did not end within {_PATIENCE:.0f} s") from error
        raise
    if process.returncode != 0:
        first = err.decode("utf-8", "replace").strip().partition("\n")[0]
        raise NftError(first or f"{command[0]} ended with {process.returncode}")
    return out.decode()


async def load(namespace: NetworkNamespace, lock: Lock, *, counts: Counts) -> None:
    """Load a lock in one transaction."""
    text = rule_set(lock, counts=counts)
    await namespace.inside(lambda: call(text))


async def loaded_digest(namespace: NetworkNamespace) -> Digest | None:
    """Return the digest of the lock that the kernel holds, None where there is none."""
    return await namespace.inside(_loaded_digest)


def _loaded_digest() -> Digest | None:
    listing = call("list ruleset", output=Output.STATELESS | Output.TERSE)
    if f"table inet {LOCK} " not in listing:
        return None
    try:
        gateways = [
            call(f"list set inet {LOCK} {name}", output=Output.STATELESS)
            for name in ("gateways4", "gateways6")
        ]
    except NftError:  # a set that is missing is a lock that was changed
        gateways = []
    return digest_of(listing, gateways="".join(gateways))


async def read_counters(namespace: NetworkNamespace) -> Refused:
    """Read the named counters; cheap whatever the number of destinations."""
    text = await namespace.inside(lambda: call("list counters", output=Output.JSON))
    return Refused(counters=_counters(json.loads(text)))


async def read_refused(namespace: NetworkNamespace) -> Refused:
    """Read counters and destinations; a second for a full set of 65,535."""
    command = f"list table inet {LOCK}"
    document = json.loads(await namespace.inside(lambda: call(command, output=Output.JSON)))
    return Refused(counters=_counters(document), destinations=_destinations(document))


def lock_for(names: tuple[str, ...], *, wire: WireLayer) -> Lock:
    """Return the lock for devices of these names, open to gateways of which there are none."""
    return Lock(devices=names, doors=Doors.GATEWAYS, wire=wire)


async def lock_of(namespace: NetworkNamespace, *, wire: WireLayer) -> Lock:
    """Return the lock for the devices that a namespace has now."""
    return lock_for(await namespace.inside(devices), wire=wire)


async def expected_digest(lock: Lock) -> Digest:
    """Return the digest that `lock` has once loaded, by loading it where nobody else can write.

    How a rule set is printed depends on nft and kernel, so it is asked, not computed: in a
    network namespace that exists for this alone.
    """
    async with _scratch(lock.devices) as namespace:
        await load(namespace, lock, counts=Counts.FRESH)
        found = await loaded_digest(namespace)
    if found is None:
        raise NftError("the lock was loaded and is not there")
    return found


async def probe_wire_layer() -> WireLayer:
    """Ask the kernel whether frames can be stopped at a device."""
    lock = Lock(devices=("lo",), doors=Doors.CLOSED, wire=WireLayer.PRESENT)
    async with _scratch(()) as namespace:
        try:
            await load(namespace, lock, counts=Counts.FRESH)
        except NftError:
            return WireLayer.ABSENT
    return WireLayer.PRESENT


@asynccontextmanager
async def _scratch(names: tuple[str, ...]) -> AsyncIterator[NetworkNamespace]:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "sh", "-c", "echo ready && exec cat"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    assert process.stdout is not None  # noqa: S101 - as above
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await process.stdout.readline()
        if said != b"ready\n":
            raise NftError("no scratch network namespace could be made")
        namespace = NetworkNamespace.of_process(process.pid, proc=PROC)
        try:
            for number, name in enumerate(names):
                pair = ("type", "veth", "peer", "name", f"peer{number}")
                await run_inside(namespace, "ip", "link", "add", name, *pair)
            yield namespace
        finally:
            namespace.close()
    finally:
        # Its end is the namespace's; it holds nothing that a kill could lose.
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _named(document: Any, kind: str) -> Iterator[dict[str, Any]]:
    for entry in document["nftables"]:
        if kind in entry:
            yield entry[kind]


def _counters(document: Any) -> Mapping[Counter, int]:
    ours = {
        found["name"]: found["packets"]
        for found in _named(document, "counter")
        if found["table"] in (LOCK, WIRE)
    }
    return {counter: ours.get(counter, 0) for counter in Counter}


def _destinations(document: Any) -> Mapping[Destination, int]:
    return {
        _destination(*element["elem"]["val"]["concat"]): element["elem"]["counter"]["packets"]
        for found in _named(document, "set")
        if found["name"] in ("refused4", "refused6")
        for element in found.get("elem", ())
    }


def _destination(address: str, protocol: str | int, port: int) -> Destination:
    number = protocol if isinstance(protocol, int) else socket.getprotobyname(protocol)
    return Destination(address, number, port)
