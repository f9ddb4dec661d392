"""Logs and chains for the tests of an auditor's tools."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carrel.ledger import Activity, Event, Receipt, Sealed
from carrel.ledger.checkpoint import Checkpoint
from carrel.ledger.merkle import leaf_hash
from carrel.ledger.note import KeyType, Note, SigningKey
from carrel.ledger.record import BEGINNING, canonical, chained
from carrel.ledger.tiles import WIDTH, Growth, Tile, encode_bundle

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def event(
    activity: Activity,
    *,
    minute: int = 0,
    actor: str = "carrel-operator",
    grant: str | None = "lung-2026",
    workspace: str | None = "lung-2026-a1",
    sealed: Sealed | None = None,
    **detail: str | int,
) -> Event:
    """Return something that happened some minutes after nine."""
    return Event(
        activity=activity,
        time=NOW + timedelta(minutes=minute),
        actor=actor,
        grant=grant,
        workspace=workspace,
        detail=detail,
        sealed={"name": sealed} if sealed else None,
    )


def write_chain(folder: Path, events: Sequence[Event]) -> Receipt:
    """Write a chain with these events; return the receipt of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    last, lines = BEGINNING, []
    for each in events:
        record = chained(each, after=last)
        last = record.receipt
        lines.append(record.line)
    (folder / f"{1:020}.jsonl").write_bytes(b"".join(lines))
    return last


def signing_key(name: str, of: KeyType = KeyType.LOG) -> SigningKey:
    """Return the same key for the same name, always."""
    return SigningKey(name, of, Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)[:32]))


LOG_KEY = signing_key("ledger.example/log")
WITNESS_KEY = signing_key("witness.example", KeyType.COSIGNER)


@dataclass
class BuiltLog:
    """A log in a folder, written as the platform's own writer would."""

    folder: Path
    entries: list[bytes] = field(default_factory=list)
    last: Receipt = BEGINNING

    def append(self, events: Sequence[Event], *, cosigned: bool = False) -> bytes:
        """Add records of one process and sign; return the checkpoint."""
        for each in events:
            record = chained(each, after=self.last)
            self.last = record.receipt
            entry = {
                "chain": "sha256:" + "0" * 64,
                "logged": "2026-03-02T09:00:00.000Z",
                "node": "",
                "record": json.loads(record.line),
                "writer": "operator",
            }
            self.entries.append(canonical(entry))
        return self.write(cosigned=cosigned)

    def write(self, *, cosigned: bool = False) -> bytes:
        """Write every file anew from the entries; return the checkpoint."""
        growth = Growth()
        hashes = [leaf_hash(entry) for entry in self.entries]
        tiles = growth.append(hashes) + growth.partial()
        for at in range(0, len(self.entries), WIDTH):
            bundle = self.entries[at : at + WIDTH]
            tiles.append((Tile(None, at // WIDTH, len(bundle)), encode_bundle(bundle)))
        for tile, data in tiles:
            path = self.folder / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        text = Checkpoint(LOG_KEY.name, len(self.entries), growth.root()).text
        signatures = [LOG_KEY.sign(text)]
        if cosigned:
            signatures.append(WITNESS_KEY.cosign(text, time=1_772_442_000))
        data = Note(text, tuple(signatures)).data
        (self.folder / "checkpoint").write_bytes(data)
        return data
