"""What tests of the central log share: a key, chains, and entries made of them."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carrel.ledger import Activity, Event
from carrel.ledger.leaf import Source, encode_leaf
from carrel.ledger.note import KeyType, SigningKey
from carrel.ledger.record import BEGINNING, Record, chained
from carrel.ledgerd.log import Log, Placed
from carrel.ledgerd.recovery import Head

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOGGED = "2026-03-01T00:00:00.000Z"
KEY = SigningKey("carrel/test", KeyType.LOG, Ed25519PrivateKey.from_private_bytes(b"k" * 32))


class Writing:
    """A chain that grows in memory, as a process would write it."""

    def __init__(
        self,
        writer: str = "revoker",
        *,
        node: str = "",
        start: str = "",
        activity: Activity = Activity.POD_DELETED,
    ) -> None:
        self._writer, self._node, self._start = writer, node, start
        self._activity = activity
        self._last = BEGINNING
        self.records: list[Record] = []

    @property
    def source(self) -> Source:
        """Return whose chain this is."""
        return Source(self._writer, self._node, self.records[0].receipt.digest)

    @property
    def head(self) -> Head:
        """Return its last record."""
        return Head(self._last.sequence, self._last.digest, self._writer, self._node)

    def grow(self, count: int) -> list[Record]:
        """Write records and return them."""
        fresh = []
        for _ in range(count):
            number = self._last.sequence + 1
            event = Event(
                activity=self._activity,
                time=NOW,
                actor=self._writer + self._start,
                detail={"number": number},
            )
            fresh.append(chained(event, after=self._last))
            self._last = fresh[-1].receipt
        self.records += fresh
        return fresh

    def entries(self, count: int) -> list[bytes]:
        """Write records and return them as entries of the central log."""
        fresh = self.grow(count)
        return [encode_leaf(each.line, source=self.source, logged=LOGGED) for each in fresh]


async def appended(log: Log, writing: Writing, count: int) -> Placed:
    """Append records of a chain to the log."""
    entries = writing.entries(count)
    return await log.append(entries, chain=writing.source.chain, head=writing.head)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what stands in a log's folder for readers."""
    names = [folder / "checkpoint", *folder.glob("tile/**/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names if path.is_file()}
