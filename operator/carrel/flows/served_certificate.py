"""The certificate of a service, read again when it changes: certificates outlive no quarter."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path


class ServedCertificate:
    """A TLS context that follows its files."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """What a service listens with."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded: tuple[float, float] | None = None
        self._load()

    async def follow(self, *, every: float) -> None:
        """Look at the files every so many seconds, for ever."""
        while True:
            await asyncio.sleep(every)
            self.refresh()

    def refresh(self) -> None:
        """Load the files again where they changed; a half-written pair waits for the next time."""
        # ssl.SSLError is an OSError: the pair that is loaded stays.
        with suppress(OSError):
            if self._stamp() != self._loaded:
                self._load()

    def _load(self) -> None:
        stamp = self._stamp()
        self.context.load_cert_chain(self._cert, self._key)
        self._loaded = stamp

    def _stamp(self) -> tuple[float, float]:
        return self._cert.stat().st_mtime, self._key.stat().st_mtime
