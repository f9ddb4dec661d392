"""The tiles, bundles and checkpoint of the log in its folder."""

from collections.abc import Sequence
from pathlib import Path

from carrel.ledger.checkpoint import Checkpoint
from carrel.ledger.inspection import tiles_in
from carrel.ledger.merkle import leaf_hash
from carrel.ledger.note import SigningKey
from carrel.ledger.tiles import WIDTH, Growth, Tile, decode_bundle, encode_bundle
from carrel.ledgerd.files import sync_all, write_durable, write_whole

CHECKPOINT = "checkpoint"


class Shelf:
    """Grows the tree in memory and lays it out as files; used by one thread.

    Files of tiles may be lost in a power cut until `settle` has run: the journal holds the
    entries until then, and the same entries give the same tiles.
    """

    def __init__(self, folder: Path, key: SigningKey, *, size: int) -> None:
        self._folder = folder
        self._key = key
        self._read = tiles_in(folder)
        self._growth = Growth.restored(size, self._read)
        self._edge = self._bundle(size)
        self._unwritten: list[tuple[Tile, bytes]] = []
        self._written: dict[tuple[int | None, int], int] = {}
        self._dirty: set[Path] = set()
        self.signed: Checkpoint | None = None

    @property
    def size(self) -> int:
        """How many entries the tree has."""
        return self._growth.size

    def root(self) -> bytes:
        """Return the root of the tree."""
        return self._growth.root()

    def grow(self, entries: Sequence[bytes]) -> None:
        """Add entries to the tree, in memory."""
        index = self._growth.size // WIDTH
        self._unwritten += self._growth.append([leaf_hash(entry) for entry in entries])
        self._edge += entries
        whole = len(self._edge) // WIDTH * WIDTH
        for at in range(0, whole, WIDTH):
            bundle = encode_bundle(self._edge[at : at + WIDTH])
            self._unwritten.append((Tile(None, index), bundle))
            index += 1
        del self._edge[:whole]

    def publish(self) -> Checkpoint:
        """Write what is new, then sign for it; everything in it is durable in the journal."""
        for tile, content in self._unwritten:
            self._write(tile, content)
            self._written.pop((tile.level, tile.index), None)
        self._unwritten.clear()
        edge = self._growth.partial()
        if self._edge:
            index = self._growth.size // WIDTH
            edge.append((Tile(None, index, len(self._edge)), encode_bundle(self._edge)))
        for tile, content in edge:
            if self._written.get((tile.level, tile.index)) != tile.width:
                self._write(tile, content)
                self._written[tile.level, tile.index] = tile.width
        checkpoint = Checkpoint(self._key.name, self.size, self.root())
        note = f"{checkpoint.text}\n{self._key.sign(checkpoint.text).line}".encode()
        write_durable(self._folder / CHECKPOINT, note)
        self.signed = checkpoint
        return checkpoint

    def take_dirty(self) -> set[Path]:
        """Return the files that a power cut may still take, and forget them."""
        dirty, self._dirty = self._dirty, set()
        return dirty

    def settle(self, dirty: set[Path]) -> None:
        """Make files survive a power cut; may run in another thread."""
        sync_all(dirty, below=self._folder)

    def _write(self, tile: Tile, content: bytes) -> None:
        path = self._folder / tile.path
        write_whole(path, content)
        self._dirty.add(path)

    def _bundle(self, size: int) -> list[bytes]:
        index, width = divmod(size, WIDTH)
        if not width:
            return []
        return decode_bundle(self._read(Tile(None, index, width)), width=width)
