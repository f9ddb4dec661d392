"""What the mirror has and how it comes by it.

Pages are fetched for every package that a policy lists, on a schedule, whether anybody asks or
not: asking the mirror for a page is no signal to the index. Files are fetched when they are
asked for first, once for the whole site.
"""

import asyncio
import errno
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from carrel.flows.clock import Clock, wait_until
from carrel.mirror.arrival import Arrival, WrongContentError
from carrel.mirror.cache import Cache, Page
from carrel.mirror.errors import (
    MirrorError,
    full,
    no_file,
    not_here_yet,
    not_listed,
    unknown_upstream,
    upstream_failed,
)
from carrel.mirror.listing import Listing, settled
from carrel.mirror.settings import MirrorSettings, UpstreamSettings
from carrel.mirror.upstream import UnknownProjectError, Upstream, UpstreamError
from carrel.rules.egress_attempt import normalised_project, visible

_RETRY = timedelta(minutes=5)
"""What failed is not asked for again before; otherwise failing would be a way to signal."""
_AT_ONCE = 4
_REMEMBERED_PAGES = 128
_METADATA = ".metadata"
_log = logging.getLogger(__name__)

_Key = tuple[str, str]
"""Index and normalised package."""


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    error: MirrorError
    until: datetime


class Stock:
    """Pages and files of the packages that policies list."""

    def __init__(
        self,
        cache: Cache,
        upstream: Upstream,
        *,
        settings: MirrorSettings,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._cache = cache
        self._upstream = upstream
        self._settings = settings
        self._indexes = {each.name: each for each in settings.mirror_upstreams}
        self._refresh = timedelta(seconds=settings.mirror_refresh_seconds)
        self._clock = clock
        self._listed: frozenset[_Key] = frozenset()
        self._wake = asyncio.Event()
        self._due: dict[_Key, datetime] = {}
        self._pages: dict[_Key, Page | None] = {}
        self._arrivals: dict[str, Arrival] = {}
        self._refused: dict[str, _Refusal] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._failures = Counter(
            "carrel_mirror_failures_total",
            "Pages and files that an index did not give.",
            ["index", "kind"],
            registry=registry,
        )

    def list_packages(self, packages: Mapping[str, Iterable[str]]) -> None:
        """Learn what policies list now; what they no longer list is no longer given."""
        self._listed = frozenset(
            (index, project)
            for index, projects in packages.items()
            if index in self._indexes
            for project in projects
        )
        self._wake.set()

    async def keep_fresh(self) -> None:
        """Fetch pages on schedule, for ever."""
        while True:
            self._wake.clear()
            await self.refresh()
            moments = [self._due_at(key) for key in self._listed]
            await wait_until(min(moments, default=None), clock=self._clock, wake=self._wake)

    async def refresh(self) -> None:
        """Fetch every page that is due."""
        now = self._clock.now()
        due = sorted(key for key in self._listed if self._due_at(key) <= now)
        async with asyncio.TaskGroup() as group:
            for key in due:
                _ = group.create_task(self._refresh_page(key))

    def listing(self, index: str, project: str) -> Listing:
        """Return a package's page; MirrorError where there is none to give."""
        page = self._page(self._key(index, project))
        if page is None:
            raise not_here_yet()
        if page.listing is None:
            raise unknown_upstream()
        return page.listing

    def promised(self, index: str, project: str, filename: str) -> int | None:
        """Return the bytes of a file as its page promises, None where it does not.

        Raises MirrorError where the page has no such file. Nothing is fetched.
        """
        return self._promise(index, project, filename)[2]

    def file(self, index: str, project: str, filename: str) -> Path | Arrival:
        """Return a file that is here, or one on its way; MirrorError where it cannot be had.

        However many ask, an index is asked once. Who goes away while a file comes does not
        stop it: others may wait for it.
        """
        sha256, url, size = self._promise(index, project, filename)
        held = self._cache.file(sha256) or self._arrivals.get(sha256)
        if held is not None:
            return held
        refusal = self._refused.get(sha256)
        if refusal is not None and refusal.until > self._clock.now():
            raise refusal.error
        return self._begin(self._indexes[index], sha256=sha256, url=url, size=size)

    async def close(self) -> None:
        """Give up what is on its way."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _key(self, index: str, project: str) -> _Key:
        key = (index, normalised_project(project) or "")
        if key not in self._listed:
            raise not_listed(project)
        return key

    def _promise(self, index: str, project: str, filename: str) -> tuple[str, str, int | None]:
        listing = self.listing(index, project)
        of_metadata = filename.endswith(_METADATA)
        file = listing.file(filename.removesuffix(_METADATA))
        if file is None or (of_metadata and file.metadata_sha256 is None):
            raise no_file(filename)
        if of_metadata and file.metadata_sha256 is not None:
            return file.metadata_sha256, file.url + _METADATA, None
        return file.sha256, file.url, file.size

    def _page(self, key: _Key) -> Page | None:
        if key in self._pages:
            self._pages[key] = self._pages.pop(key)
        else:
            self._remember(key, self._cache.page(*key))
        return self._pages[key]

    def _remember(self, key: _Key, page: Page | None) -> None:
        self._pages.pop(key, None)
        self._pages[key] = page
        while len(self._pages) > _REMEMBERED_PAGES:
            del self._pages[next(iter(self._pages))]

    def _due_at(self, key: _Key) -> datetime:
        if key not in self._due:
            page = self._cache.page(*key)
            self._due[key] = page.fetched + self._refresh if page else self._clock.now()
        return self._due[key]

    async def _refresh_page(self, key: _Key) -> None:
        index, project = key
        async with self._places:
            try:
                fresh = await self._upstream.page(self._indexes[index], project)
                listing, changed = settled(fresh, earlier=self._earlier(key))
                for filename in changed:
                    _log.warning("%s of index %s came with other content", filename, index)
                    self._failures.labels(index, "changed").inc()
                page = Page(fetched=self._clock.now(), listing=listing)
                self._cache.put_page(index, project, page)
            except UnknownProjectError:
                page = Page(fetched=self._clock.now(), listing=None)
            except (UpstreamError, OSError) as error:
                # The page that is here goes on being served: old is better than none.
                _log.warning("page of %s at index %s: %s", project, index, visible(str(error)))
                self._failures.labels(index, "page").inc()
                self._due[key] = self._clock.now() + min(_RETRY, self._refresh)
                return
        self._due[key] = page.fetched + self._refresh
        self._remember(key, page)

    def _earlier(self, key: _Key) -> Listing | None:
        page = self._page(key)
        return page.listing if page else None

    def _begin(
        self, index: UpstreamSettings, *, sha256: str, url: str, size: int | None
    ) -> Arrival:
        if self._cache.free_bytes() - (size or 0) < self._settings.mirror_spare_bytes:
            raise full()
        try:
            arrival = Arrival(
                self._cache.arriving(),
                sha256=sha256,
                size=size,
                largest=self._settings.mirror_file_bytes,
            )
        except OSError as error:
            raise full() from error
        self._arrivals[sha256] = arrival
        task = asyncio.create_task(self._bring(arrival, index, sha256=sha256, url=url))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return arrival

    async def _bring(
        self, arrival: Arrival, index: UpstreamSettings, *, sha256: str, url: str
    ) -> None:
        error: MirrorError | None = upstream_failed("the mirror was stopped")
        try:
            async with self._places:
                await self._upstream.file(index, url, take=lambda part: self._take(arrival, part))
            arrival.check()
            await asyncio.to_thread(self._cache.settle, arrival.path, sha256)
            error = None
        except (UpstreamError, WrongContentError) as failure:
            error = upstream_failed(str(failure))
        except MirrorError as failure:
            error = failure
        except OSError as failure:
            is_full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
            error = full() if is_full else upstream_failed("the cache cannot be written")
        finally:
            del self._arrivals[sha256]
            self._end(arrival, index, error, sha256=sha256)

    def _take(self, arrival: Arrival, part: bytes) -> None:
        if self._cache.free_bytes() - len(part) < self._settings.mirror_spare_bytes:
            raise full()
        arrival.take(part)

    def _end(
        self, arrival: Arrival, index: UpstreamSettings, error: MirrorError | None, *, sha256: str
    ) -> None:
        if error is None:
            self._refused.pop(sha256, None)
            arrival.finish()
            return
        _log.warning("a file of index %s did not come: %s", index.name, error)
        self._failures.labels(index.name, "file").inc()
        now = self._clock.now()
        self._refused = {key: each for key, each in self._refused.items() if each.until > now}
        self._refused[sha256] = _Refusal(error=error, until=now + _RETRY)
        arrival.path.unlink(missing_ok=True)
        arrival.fail(error)
