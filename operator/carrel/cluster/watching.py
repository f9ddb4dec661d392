"""List, then watch, without losing what happened in between."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp

from carrel.cluster.errors import ClusterError, Gone, Timeout, from_status
from carrel.cluster.protocol import Change, ChangeType
from carrel.cluster.refs import JSON, KindRef

WATCH_SECONDS = 50
"""The server ends each watch after this time: a half-dead connection cannot outlive it by much."""

_SILENCE_SECONDS = WATCH_SECONDS + 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_LARGEST_EVENT = 8 * 2**20

_log = logging.getLogger(__name__)

_TYPES = {
    "ADDED": ChangeType.ADDED,
    "MODIFIED": ChangeType.MODIFIED,
    "DELETED": ChangeType.DELETED,
}


class _Source(Protocol):
    async def snapshot(
        self, kind: KindRef, *, namespace: str | None, query: Mapping[str, str]
    ) -> tuple[list[JSON], str]: ...

    def open(
        self, method: str, path: str, *, timeout: aiohttp.ClientTimeout, call: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]: ...


class Watch:
    """One watch over one kind; `changes` tells them for ever."""

    def __init__(
        self,
        source: _Source,
        kind: KindRef,
        *,
        namespace: str | None,
        query: Mapping[str, str],
        pulse: Callable[[], None] | None,
    ) -> None:
        self._source = source
        self._kind = kind
        self._namespace = namespace
        self._query = query
        self._pulse = pulse or (lambda: None)
        self._known: dict[str, JSON] = {}
        self._version = ""

    async def changes(self) -> AsyncIterator[Change]:
        """Yield what is, then what becomes; waits out every error of the server."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    for change in await self._listed():
                        yield change
                async for change in self._streamed():
                    pause = _FIRST_PAUSE
                    yield change
            except Gone:
                self._version = ""
            except Timeout:
                # The silence limit passed: resume where we were, at once.
                continue
            except ClusterError as error:
                _log.warning("watch of %s interrupted: %s", self._kind.plural, error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listed(self) -> list[Change]:
        items, version = await self._source.snapshot(
            self._kind, namespace=self._namespace, query=self._query
        )
        self._pulse()
        changes: list[Change] = []
        present: dict[str, JSON] = {}
        for item in items:
            uid = item["metadata"]["uid"]
            known = self._known.get(uid)
            present[uid] = _identity(item)
            if known is None:
                changes.append(Change(type=ChangeType.ADDED, object=item))
            elif _version(known) != _version(item):
                changes.append(Change(type=ChangeType.MODIFIED, object=item))
        # What vanished while nobody watched comes first: its name may be in use again.
        gone = [
            Change(type=ChangeType.DELETED, object=known)
            for uid, known in self._known.items()
            if uid not in present
        ]
        self._known, self._version = present, version
        return [*gone, *changes, Change(type=ChangeType.SYNCED, object={})]

    async def _streamed(self) -> AsyncIterator[Change]:
        call = f"watch {self._kind.kind}"
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
        path = f"{self._kind.path(namespace=self._namespace)}?{urlencode(query)}"
        async with self._source.open("GET", path, timeout=timeout, call=call) as response:
            if response.status >= 400:
                text = (await response.read()).decode(errors="replace")
                raise from_status(response.status, _loads(text), call=call)
            self._pulse()
            async for line in _lines(response.content):
                self._pulse()
                change = self._read(json.loads(line), call=call)
                if change is not None:
                    yield change
        self._pulse()

    def _read(self, event: JSON, *, call: str) -> Change | None:
        obj: JSON = event["object"]
        if event["type"] == "ERROR":
            raise from_status(int(obj.get("code") or 500), obj, call=call)
        self._version = obj["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return None
        kind = _TYPES[event["type"]]
        uid = obj["metadata"]["uid"]
        if kind is ChangeType.DELETED:
            self._known.pop(uid, None)
        else:
            self._known[uid] = _identity(obj)
        return Change(type=kind, object=obj)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # StreamReader.readline() refuses lines above its buffer; objects may be larger than that.
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if len(rest) > _LARGEST_EVENT:
            msg = f"an event is larger than {_LARGEST_EVENT} bytes"
            raise Gone(msg, call="watch")
        *lines, last = rest.split(b"\n")
        for line in lines:
            if line:
                yield bytes(line)
        rest = bytearray(last)


def _identity(obj: JSON) -> JSON:
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "labels", "resourceVersion")
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {key: metadata[key] for key in kept if key in metadata},
    }


def _version(obj: JSON) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
