"""How Kopf is told to watch.

Kopf watches and keeps the process alive; it handles nothing. There are no state handlers,
hence no annotations on anybody's objects, and our finalizer is ours.
"""

import dataclasses
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import kopf
from typing_extensions import override

from carrel.handlers.feed import Feed
from carrel.handlers.scope import CLUSTER_WIDE, MADE, OUR_LABEL

# Whole numbers: Kopf writes them into the URL as they are, and the server reads integers.
_SERVER_SECONDS, _CLIENT_SECONDS = 300, 330
_SILENCE_SECONDS = 75.0
_PAUSES = (1, 1, 2, 4, 8, *(15 for _ in range(1000)))
"""Kopf gives up, and the process with it, when these are spent: a server may be away for hours."""
_PAGE = 500


class _NoDifferences(kopf.DiffBaseStorage):
    """Remembers nothing: nobody asks what changed, and Kopf would copy every object to tell."""

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    @override
    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, **_: Any) -> None:
        """Store nothing."""


def registry(feed: Feed, *, kubeconfig: Path | None) -> kopf.OperatorRegistry:
    """Return what Kopf needs to know: one observer per kind, and how to log in."""
    made = kopf.OperatorRegistry()

    async def observed(*, event: kopf.RawEvent, **_: Any) -> None:
        obj: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            feed.told_gone(obj)
        else:
            feed.told(obj)

    for kind in CLUSTER_WIDE:
        group, _, version = kind.api_version.rpartition("/")
        observer_id = f"observe-{kind.plural}"
        kopf.on.event(group, version, kind.plural, id=observer_id, registry=made)(observed)

    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return log_in(kubeconfig, **kwargs)

    kopf.on.login(registry=made)(login)
    return made


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: finite watches, no events posted, nothing discovered."""
    chosen = kopf.OperatorSettings()
    chosen.watching.server_timeout = _SERVER_SECONDS
    chosen.watching.client_timeout = _CLIENT_SECONDS
    chosen.watching.connect_timeout = 10.0
    chosen.watching.inactivity_timeout = _SILENCE_SECONDS
    chosen.persistence.diffbase_storage = _NoDifferences()
    chosen.watching.reconnect_backoff = 1.0
    chosen.watching.chunk_size = _PAGE
    chosen.networking.error_backoffs = _PAUSES
    chosen.networking.request_timeout = 60.0
    # Narrow rights: we look for no CRDs and no namespaces beside those we name.
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    # Kopf keeps a worker per object until it has idled, and a limit on workers would make
    # `limit / idle_timeout` objects a second the most that a watch can tell: a node that
    # reports on all its workspaces at once would be heard so late that the audit calls the
    # watch dead. Our observer never waits, so that there is nothing to limit.
    chosen.queueing.worker_limit = None
    chosen.queueing.idle_timeout = 0.1
    for kind in MADE:
        chosen.watching.label_selectors[kind.plural] = OUR_LABEL
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    return chosen


def log_in(kubeconfig: Path | None, **kwargs: Any) -> kopf.ConnectionInfo | None:
    """Return Kopf's credentials; a pod's token is read again before it can expire.

    The server is named by the address that Kubernetes puts in every pod: Kopf's own way
    needs a name, and the platform's pods may ask no name server.
    """
    if kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(kubeconfig)  # the only way in that Kopf leaves
        return kopf.login_with_kubeconfig(**kwargs)
    found = kopf.login_with_service_account(**kwargs)
    if found is None:
        return None
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    return dataclasses.replace(
        found,
        server=f"https://{place}:{port}",
        expiration=datetime.now(UTC) + timedelta(minutes=5),  # noqa: TID251 - Kopf's own clock
    )
