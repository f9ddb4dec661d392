"""A package index on loopback: a few tiny wheels, served as PEP 503 and PEP 691 say, or badly."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def wheel(name: str, version: str = "1.0", *, needs: tuple[str, ...] = (), size: int = 0) -> bytes:
    """Return a wheel that installs one module, with `size` more bytes that do not compress."""
    folder = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in needs)
    padding = hashlib.shake_256(name.encode()).digest(size)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{name}_data.bin": padding,
        f"{folder}/METADATA": metadata.encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{folder}/RECORD"])
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for path, content in (files | {f"{folder}/RECORD": record.encode()}).items():
            # A fixed date: the same wheel has the same bytes.
            archive.writestr(zipfile.ZipInfo(path), content)
    return whole.getvalue()


def metadata_of(content: bytes) -> bytes:
    """Return the metadata inside a wheel."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (path,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
        return archive.read(path)


@dataclass
class PackageIndex:
    """What the index has, what it was asked, and how it misbehaves."""

    packages: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Package -> file -> content."""
    speaks_json: bool = True
    """Whether it knows PEP 691; HTML of PEP 503 otherwise."""
    asked: list[str] = field(default_factory=list)
    """Every request, as method and path with query."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request."""
    instead: dict[str, Answer] = field(default_factory=dict)
    """Path -> what is answered instead."""
    hold: asyncio.Event | None = None
    """Files are answered when it is set."""
    url: str = ""
    """Root of the simple API."""
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str, content: bytes, *, version: str = "1.0") -> str:
        """Add a wheel; return the path of its file."""
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        self.packages.setdefault(name, {})[filename] = content
        return f"/files/{filename}"

    async def until_asked(self, request: str, *, times: int = 1) -> None:
        """Wait until a request, as method and path, came so many times."""
        async with asyncio.timeout(30):
            while self.asked.count(request) < times:
                self._more.clear()
                await self._more.wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as an index."""
        self.asked.append(f"{request.method} {request.path_qs}")
        self.headers.append(dict(request.headers))
        self._more.set()
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path.startswith("/files/"):
            return await self._file(request.path.removeprefix("/files/"))
        name = request.path.removeprefix("/simple/").strip("/")
        if name not in self.packages:
            return web.Response(status=404)
        return self._json(name) if self.speaks_json else self._html(name)

    async def _file(self, filename: str) -> web.Response:
        if self.hold is not None:
            await self.hold.wait()
        files = {key: each for files in self.packages.values() for key, each in files.items()}
        files |= {f"{key}.metadata": metadata_of(each) for key, each in files.items()}
        return web.Response(body=files[filename]) if filename in files else web.Response(status=404)

    def _json(self, name: str) -> web.Response:
        files = [
            {
                "filename": filename,
                "url": f"/files/{filename}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "size": len(content),
                "yanked": False,
                "requires-python": ">=3.8",
                "core-metadata": {"sha256": hashlib.sha256(metadata_of(content)).hexdigest()},
            }
            for filename, content in self.packages[name].items()
        ]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": ["1.0"], "files": files}
        return web.json_response(page, content_type=JSON_TYPE)

    def _html(self, name: str) -> web.Response:
        links = "".join(
            f'<a href="../../files/{filename}#sha256={hashlib.sha256(content).hexdigest()}"'
            f' data-requires-python="&gt;=3.8">{filename}</a>\n'
            for filename, content in self.packages[name].items()
        )
        return web.Response(text=f"<html><body>{links}</body></html>", content_type="text/html")


@asynccontextmanager
async def package_index() -> AsyncIterator[PackageIndex]:
    """Serve an index on a free port of loopback."""
    index = PackageIndex()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", index.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        index.url = f"http://127.0.0.1:{runner.addresses[0][1]}/simple/"
        yield index
    finally:
        await runner.cleanup()
