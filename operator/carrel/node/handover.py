"""What the agent's containers hand to each other: open sockets, and whose they are.

`lock` opens sockets inside a pod's network namespace, `holder` keeps them, `recorder` and `relay`
work with them. One message of the Unix SOCK_SEQPACKET socket is one JSON object of at most
64 KiB with at most one descriptor (SCM_RIGHTS, unix(7)).
"""

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from carrel.kinds.egress import EgressPolicySpec
from carrel.kinds.grant import OnRecorderLoss
from carrel.rules.egress import EgressRules, egress_rules

LARGEST = 65_536
"""Bytes of one message."""
SOCKET = "holder.sock"
"""Name of the holder's socket in the run directory."""
_NAME = re.compile(r"^[0-9a-zA-Z-]{1,64}/[a-z-]{1,16}$")
_PATIENCE = 5.0
_AGAIN = 0.2


class Kind(StrEnum):
    """What a socket is for; its name is `<pod UID>/<kind>`."""

    NFLOG = "nflog"
    """Netlink: refused packets of the groups 77 and 78."""
    DNS_UDP = "dns-udp"
    """UDP 127.0.0.1:53."""
    DNS_TCP = "dns-tcp"
    """TCP 127.0.0.1:53, listening."""
    MIRROR = "mirror"
    """TCP 127.0.0.1:3141, listening."""
    DESK = "desk"
    """TCP 127.0.0.1:3142, listening."""


class HandoverError(Exception):
    """The holder refused or is not there; the message says what to look at."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Whose sockets these are: attribution is by namespace, never by address."""

    pod_uid: str
    node: str
    boot_id: str
    """The kernel's, from /proc/sys/kernel/random/boot_id: inode numbers count within a boot."""
    netns: int
    """Inode number of the network namespace."""
    namespace: str
    workspace: str
    workspace_uid: str
    grant: str
    grant_uid: str
    researcher: str
    """The person's `sub` at the identity provider."""
    expires: str
    """When the grant ends (RFC 3339)."""
    egress_policy: str
    egress_policy_digest: str
    egress_policy_spec: str
    """`spec` of the EgressPolicy as JSON text; empty while the policy is not known, which allows
    nothing."""
    on_recorder_loss: OnRecorderLoss

    def spec(self) -> EgressPolicySpec | None:
        """Return the egress policy; None for one that is not known or cannot be read."""
        try:
            return EgressPolicySpec.model_validate_json(self.egress_policy_spec)
        except ValidationError:
            return None

    def rules(self) -> EgressRules:
        """Return what is decided by; of a policy that is not known, the closed ones."""
        return egress_rules(self.egress_policy, self.spec())

    @classmethod
    def read(cls, raw: object) -> Self:
        """Read a binding. Raises HandoverError naming the field that is missing or wrong."""
        if not isinstance(raw, dict):
            raise HandoverError("binding_is_no_object: a binding is a JSON object")
        for field in fields(cls):
            kind = int if field.name == "netns" else str
            if not isinstance(raw.get(field.name), kind):
                raise HandoverError(f"binding_is_incomplete: {field.name} is missing or wrong")
        known = {field.name: raw[field.name] for field in fields(cls)}
        try:
            return cls(**(known | {"on_recorder_loss": OnRecorderLoss(known["on_recorder_loss"])}))
        except ValueError as error:
            raise HandoverError(f"binding_is_incomplete: {error}") from error


@dataclass(frozen=True)
class Handed:
    """A socket that was handed over or taken back."""

    pod_uid: str
    kind: Kind
    binding: Binding | None
    """None when the socket was taken back."""
    descriptor: int | None
    """Owned by whoever receives this; None when the socket was taken back."""


@dataclass(frozen=True)
class Synced:
    """Everything that the holder keeps was told; what was not is not kept."""


def name_of(pod_uid: str, kind: Kind) -> str:
    """Return the name under which a socket is kept."""
    return f"{pod_uid}/{kind}"


def is_name(name: str) -> bool:
    """Tell whether `name` is one that a socket may be kept under."""
    return bool(_NAME.match(name))


def encode(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message. Raises HandoverError when there are too many."""
    line = json.dumps(message, separators=(",", ":")).encode()
    if len(line) > LARGEST:
        raise HandoverError(
            f"message_is_too_long: {len(line)} bytes, at most {LARGEST}; use a smaller EgressPolicy"
        )
    return line


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return one whole message and its descriptors; empty bytes at the end of the conversation.

    Raises HandoverError for a message that was cut, whose descriptors are closed.
    """
    data, received, flags, _ = socket.recv_fds(channel, LARGEST, 4, socket.MSG_CMSG_CLOEXEC)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(received)
        raise HandoverError("message_is_cut: too long, or more than one descriptor")
    return data, received


def close_all(descriptors: list[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


class Handover:
    """The way to the holder, for whoever gives and for whoever takes."""

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / SOCKET

    async def put(self, kind: Kind, descriptor: int, binding: Binding) -> None:
        """Have a socket kept, in place of what is kept under its name; the caller's copy stays.

        Raises HandoverError when it is not kept.
        """
        name = name_of(binding.pod_uid, kind)
        await self._ask({"op": "put", "name": name, "meta": asdict(binding)}, [descriptor])

    async def bind(self, kind: Kind, binding: Binding) -> None:
        """Say anew whose a socket is that is kept already.

        Raises HandoverError when there is none.
        """
        name = name_of(binding.pod_uid, kind)
        await self._ask({"op": "bind", "name": name, "meta": asdict(binding)}, [])

    async def drop(self, prefix: str) -> int:
        """Have every socket forgotten whose name begins so; return how many there were."""
        return int((await self._ask({"op": "drop", "prefix": prefix}, []))["dropped"])

    async def names(self) -> frozenset[str]:
        """Return the names of what is kept."""
        return frozenset((await self._ask({"op": "names"}, []))["names"])

    async def watch(self) -> AsyncGenerator[Handed | Synced, None]:
        """Tell what is kept, then what changes, for ever.

        While the holder is away nothing is told: what was handed over stays good. When it is
        back, only what differs is told again, then `Synced`.
        """
        known: dict[str, tuple[int, Binding]] = {}
        while True:
            try:
                async with aclosing(self._watch_once(known)) as told:
                    async for each in told:
                        yield each
            except (HandoverError, OSError):
                await asyncio.sleep(_AGAIN)

    async def _watch_once(
        self, known: dict[str, tuple[int, Binding]]
    ) -> AsyncGenerator[Handed | Synced, None]:
        seen: set[str] = set()
        with self._connect() as channel:
            await asyncio.get_running_loop().sock_sendall(channel, encode({"op": "watch"}))
            while True:
                message, received = await _next(channel)
                if "synced" in message:
                    for name in set(known) - seen:
                        del known[name]
                        yield _taken_back(name)
                    yield Synced()
                    continue
                name = str(message["name"])
                if not received:
                    if known.pop(name, None):
                        yield _taken_back(name)
                    continue
                seen.add(name)
                try:
                    binding = Binding.read(message["meta"])
                except HandoverError:
                    close_all(received)
                    raise
                identity = (os.fstat(received[0]).st_ino, binding)
                if known.get(name) == identity:
                    close_all(received)
                    continue
                known[name] = identity
                pod_uid, _, kind = name.partition("/")
                yield Handed(pod_uid, Kind(kind), binding, received[0])

    async def _ask(self, message: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        return await ask(self._path, message, descriptors)

    def _connect(self) -> socket.socket:
        return _connected(self._path)


async def ask(
    path: Path,
    message: dict[str, Any],
    descriptors: list[int],
    *,
    patience: float = _PATIENCE,
) -> dict[str, Any]:
    """Ask one question of whoever listens at `path`, and return the answer.

    Raises HandoverError when there is none within `patience` seconds, or when it is a refusal.
    """
    try:
        async with asyncio.timeout(patience):
            with _connected(path) as channel:
                # One message of a new connection always has room.
                socket.send_fds(channel, [encode(message)], descriptors)
                answer, received = await _next(channel)
    except (OSError, TimeoutError) as error:
        raise HandoverError(
            f"nobody_answers: {path}: {error!r}; see the agent's container `{path.stem}`"
        ) from error
    close_all(received)
    if "error" in answer:
        raise HandoverError(str(answer["error"]))
    return answer


def _connected(path: Path) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        channel.connect(str(path))
    except OSError:
        channel.close()
        raise
    return channel


def _taken_back(name: str) -> Handed:
    pod_uid, _, kind = name.partition("/")
    return Handed(pod_uid, Kind(kind), None, None)


async def _next(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    while True:
        try:
            data, received = receive(channel)
            break
        except BlockingIOError:
            await _readable(channel)
    if not data:
        raise HandoverError("nobody_answers: the other end left the conversation")
    message = json.loads(data)
    if not isinstance(message, dict):
        close_all(received)
        raise HandoverError("message_is_no_object: the answer is something else than an object")
    return message, received


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)
