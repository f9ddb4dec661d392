"""The `Cluster` on the asyncio client of Kubernetes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from typing_extensions import override

from carrel.cluster.errors import ClusterError, NotFound, Timeout, Unavailable, from_status
from carrel.cluster.protocol import Answer, Body, Change, Cluster, Deadline
from carrel.cluster.refs import JSON, SELF_SUBJECT_REVIEW, KindRef, Objects, Ref, ref_of
from carrel.cluster.watching import Watch

PAGE = 500
"""Objects per page of a list: bounds the memory of one answer on both sides."""

CALL_SECONDS = 15.0
"""How long a call may take where the caller names no deadline."""

_LARGEST_ANSWER = 16 * 2**20

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"


class KubernetesCluster(Cluster):
    """Speaks to one API server over one connection pool; made by `connect`."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @override
    async def get(self, ref: Ref, *, deadline: Deadline | None = None) -> JSON | None:
        try:
            return await self._json("GET", ref.path, call=f"get {ref}", deadline=deadline)
        except NotFound:
            return None

    @override
    async def list(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        deadline: Deadline | None = None,
    ) -> Objects:
        query = _selectors(labels=labels, fields=fields)
        items, _ = await self.snapshot(kind, namespace=namespace, query=query, deadline=deadline)
        return items

    async def snapshot(
        self,
        kind: KindRef,
        *,
        namespace: str | None,
        query: Mapping[str, str],
        deadline: Deadline | None = None,
    ) -> tuple[Objects, str]:
        """Return all objects and the resourceVersion that a watch continues from.

        Raises Gone where the pages outlived the server's memory: begin again.
        """
        path, call = kind.path(namespace=namespace), f"list {kind.kind} in {namespace or 'all'}"
        deadline = deadline or Deadline.after(4 * CALL_SECONDS)
        items: Objects = []
        page: dict[str, str] = {"limit": str(PAGE)}
        while True:
            answer = await self._json(
                "GET", path, query={**query, **page}, call=call, deadline=deadline
            )
            for item in answer["items"]:
                # Items of a list come without these two; everybody downstream needs them.
                item["apiVersion"], item["kind"] = kind.api_version, kind.kind
                items.append(item)
            token = answer["metadata"].get("continue")
            if not token:
                return items, answer["metadata"]["resourceVersion"]
            page = {"limit": str(PAGE), "continue": token}

    @override
    async def apply(self, obj: JSON, *, manager: str, deadline: Deadline | None = None) -> JSON:
        return await self._apply(obj, part="", manager=manager, deadline=deadline)

    @override
    async def apply_status(
        self, obj: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        return await self._apply(obj, part="/status", manager=manager, deadline=deadline)

    async def _apply(
        self, obj: JSON, *, part: str, manager: str, deadline: Deadline | None
    ) -> JSON:
        ref = ref_of(obj)
        return await self._json(
            "PATCH",
            ref.path + part,
            query={"fieldManager": manager, "force": "true", "fieldValidation": "Strict"},
            body=obj,
            content=_APPLY,
            call=f"apply {ref}{part}",
            deadline=deadline,
        )

    @override
    async def create(self, obj: JSON, *, deadline: Deadline | None = None) -> JSON:
        ref = ref_of(obj)
        return await self._json(
            "POST",
            ref.kind.path(namespace=ref.namespace),
            query={"fieldValidation": "Strict"},
            body=obj,
            call=f"create {ref}",
            deadline=deadline,
        )

    @override
    async def patch(
        self, ref: Ref, patch: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        return await self._json(
            "PATCH",
            ref.path,
            query={"fieldManager": manager, "fieldValidation": "Strict"},
            body=patch,
            content=_MERGE,
            call=f"patch {ref}",
            deadline=deadline,
        )

    @override
    async def delete(
        self,
        ref: Ref,
        *,
        grace: int | None = None,
        uid: str | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        body: JSON = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._json("DELETE", ref.path, body=body, call=f"delete {ref}", deadline=deadline)
        except NotFound:
            return

    @override
    def watch(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        pulse: Callable[[], None] | None = None,
    ) -> AsyncIterator[Change]:
        return Watch(
            self,
            kind,
            namespace=namespace,
            query=_selectors(labels=labels, fields=fields),
            pulse=pulse,
        ).changes()

    @override
    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        deadline: Deadline | None = None,
    ) -> Answer:
        deadline, call = deadline or Deadline.after(CALL_SECONDS), f"{method} {path}"
        timeout = aiohttp.ClientTimeout(total=deadline.left())
        async with self.open(
            method, path, headers=headers, body=body, timeout=timeout, call=call
        ) as response:
            data = await _whole(response)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status, body=data, headers=names)

    @override
    async def whoami(self, *, deadline: Deadline | None = None) -> str:
        review = {
            "apiVersion": SELF_SUBJECT_REVIEW.api_version,
            "kind": SELF_SUBJECT_REVIEW.kind,
        }
        answer = await self._json(
            "POST", SELF_SUBJECT_REVIEW.path(), body=review, call="whoami", deadline=deadline
        )
        return str(answer["status"]["userInfo"]["username"])

    async def close(self) -> None:
        """Close the connections; the cluster cannot be used afterwards."""
        await self._api.close()  # type: ignore[no-untyped-call]  # the generated client is untyped

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own value, not a number
        call: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open an answer for streaming; library errors leave as ours, any status comes back."""
        sent = {"Content-Type": _JSON, **(headers or {})}
        await self._api.update_params_for_auth(sent, [], ["BearerToken"], path, method, None)
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - its request() cannot stream
        extra = {}
        if name := self._api.configuration.tls_server_name:
            extra["server_hostname"] = name
        try:
            async with rest.pool_manager.request(
                method,
                self._api.configuration.host + path,
                headers=sent,
                data=body,
                timeout=timeout,
                proxy=rest.proxy,
                allow_redirects=False,
                **extra,
            ) as response:
                yield response
        except TimeoutError as error:
            raise Timeout("no answer in time", call=call) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}", call=call) from error

    async def _json(
        self,
        method: str,
        path: str,
        *,
        call: str,
        query: Mapping[str, str] | None = None,
        body: JSON | None = None,
        content: str = _JSON,
        deadline: Deadline | None = None,
    ) -> JSON:
        deadline = deadline or Deadline.after(CALL_SECONDS)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        url = f"{path}?{urlencode(query)}" if query else path
        while True:
            timeout = aiohttp.ClientTimeout(total=max(deadline.left(), 0.001))
            async with self.open(
                method,
                url,
                headers={"Content-Type": content},
                body=data,
                timeout=timeout,
                call=call,
            ) as response:
                text = await response.read()
                pause = _pause(response)
            # Priority and fairness refused before anything was done: any verb may be repeated.
            if response.status == 429 and pause < deadline.left():
                await asyncio.sleep(pause)
                continue
            return _parsed(response.status, text, call=call)


def _pause(response: aiohttp.ClientResponse) -> float:
    try:
        return float(response.headers.get("Retry-After", "1"))
    except ValueError:
        return 1.0


def _parsed(status: int, text: bytes, *, call: str) -> JSON:
    try:
        answer: Any = json.loads(text)
    except ValueError:
        answer = text.decode(errors="replace")
    if status >= 400:
        raise from_status(status, answer, call=call)
    if not isinstance(answer, dict):
        raise ClusterError("the answer is no JSON object", call=call, status=status)
    return answer


def _selectors(*, labels: str | None, fields: str | None) -> dict[str, str]:
    query = {}
    if labels is not None:
        query["labelSelector"] = labels
    if fields is not None:
        query["fieldSelector"] = fields
    return query


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    # `StreamReader.read(n)` returns what has arrived, which may be the first packet alone.
    data = bytearray()
    while len(data) < _LARGEST_ANSWER:
        chunk = await response.content.read(_LARGEST_ANSWER - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data)
