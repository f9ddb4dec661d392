"""What a check of a log or of chains proves, against what somebody kept outside."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from carrel.audit.source import Chains
from carrel.ledger.checkpoint import Signed, open_checkpoint
from carrel.ledger.errors import EvidenceError
from carrel.ledger.event import Receipt
from carrel.ledger.inspection import inspect, tiles_in
from carrel.ledger.merkle import consistency_proof, verify_consistency
from carrel.ledger.note import KeyType, VerifierKey
from carrel.ledger.tiles import subtrees_from
from carrel.ledger.verify import verify

CHECKPOINT = "checkpoint"
"""File of the latest checkpoint in a copy of the log."""


@dataclass(frozen=True)
class Proof:
    """What was found; it holds when there is no fault."""

    records: int
    faults: tuple[str, ...]
    """Each begins with the rule that does not hold and names the first bad record."""
    proven: tuple[str, ...]
    """What now is known, in sentences."""
    unproven: tuple[str, ...]
    """What this check cannot show, in sentences."""
    heads: Mapping[str, Receipt]
    """Receipt of each chain's last record; empty for a log."""
    gaps: tuple[str, ...] = ()
    """Losses that the chains admit themselves."""


def check_chains(folder: Path, *, seen: Mapping[str, Receipt]) -> Proof:
    """Check every chain in a folder.

    Args:
        folder: Holds chains, at most two levels below.
        seen: Receipts kept from an earlier check, by the chain's path below the folder.

    """
    chains = {str(path.relative_to(folder)): path for path in Chains(folder).chains()}
    faults = [
        f"chain_is_missing: {name} had record {receipt.sequence} earlier and is not there"
        for name, receipt in seen.items()
        if name not in chains
    ]
    records, heads, gaps = 0, {}, []
    for name, path in chains.items():
        report = verify(path, seen=seen.get(name))
        records += report.records
        faults += [
            f"{fault.rule}: {name}/{fault.file} line {fault.line}: {fault.detail}"
            for fault in report.faults
        ]
        gaps += [f"{name}, record {gap.sequence}, {gap.time}: {gap.reason}" for gap in report.gaps]
        if report.last is not None:
            heads[name] = report.last
    compared = sum(name in chains for name in seen)
    proven = [f"{len(chains)} chains are whole from their first record to their last."]
    if compared:
        proven.append(
            f"{compared} of them hold what was noted earlier: nothing before that was changed or "
            "removed."
        )
    unproven = [
        (
            f"{len(chains) - compared} chains were compared with nothing kept outside: whoever can "
            "write the folder could have cut them off or written them anew."
        )
    ]
    if compared == len(chains):
        unproven = ["Nobody but the processes themselves vouches for what came after the notes."]
    return Proof(records, tuple(faults), tuple(proven), tuple(unproven), heads, tuple(gaps))


@dataclass(frozen=True)
class Trusted:
    """What somebody outside holds against the log."""

    log: VerifierKey
    """Public key of the log."""
    witnesses: tuple[VerifierKey, ...] = ()
    """Public keys of witnesses, whose cosignatures are demanded."""
    earlier: bytes | None = None
    """A checkpoint obtained earlier."""
    inside: tuple[str, ...] = ()
    """Names of witnesses that run in the same cluster as the log."""


def check_log(
    folder: Path, trusted: Trusted, *, told: Callable[[int, int], object] | None = None
) -> Proof:
    """Check every entry of a copy of the log against its checkpoint, and that against the past.

    Args:
        folder: Holds `checkpoint` and `tile/`.
        trusted: What it is checked against.
        told: Called with the number of entries checked, and of all.

    Raises:
        EvidenceError: when the checkpoint itself does not hold.
        OSError: when there is none.

    """
    data = (folder / CHECKPOINT).read_bytes()
    signed = open_checkpoint(data, log=trusted.log, witnesses=trusted.witnesses)
    size = signed.checkpoint.size
    read = tiles_in(folder)
    flaw = inspect(read, signed.checkpoint, told=(lambda done: told(done, size)) if told else None)
    faults = [_told_of(flaw.rule, flaw.path, flaw.detail, leaf=flaw.leaf)] if flaw else []
    proven = [f"All {size:,} records are those that the log {trusted.log.name} signed for."]
    if trusted.earlier is not None and not flaw:
        earlier = open_checkpoint(trusted.earlier, log=trusted.log, witnesses=())
        faults += _grown(earlier, signed, folder)
        proven.append(
            f"The first {earlier.checkpoint.size:,} of them are those of the earlier checkpoint: "
            "nothing was changed, removed or slipped in before it."
        )
    seen = {each.key for each in signed.by if each.key.of is KeyType.COSIGNER}
    faults += [
        f"witness_did_not_sign: {key.name} has not cosigned this checkpoint"
        for key in trusted.witnesses
        if key not in seen
    ]
    proven += _witnessed(seen, trusted)
    return Proof(
        size, tuple(faults), () if faults else tuple(proven), _open_questions(trusted, seen), {}
    )


def _grown(earlier: Signed, present: Signed, folder: Path) -> list[str]:
    old, new = earlier.checkpoint, present.checkpoint
    if old.size > new.size:
        fault = (
            f"log_was_cut: the earlier checkpoint has {old.size:,} records, this one "
            f"{new.size:,}; the first missing is leaf {new.size}"
        )
        return [fault]
    try:
        subtree = subtrees_from(tiles_in(folder), size=new.size)
        proof = consistency_proof(old.size, new.size, subtree=subtree)
        verify_consistency(
            old=old.size, old_root=old.root, new=new.size, new_root=new.root, proof=proof
        )
    except EvidenceError as error:
        return [f"log_was_rewritten: {error}; a record before leaf {old.size} differs"]
    return []


def _witnessed(seen: Iterable[VerifierKey], trusted: Trusted) -> list[str]:
    return [
        f"The witness {key.name} saw this very log"
        + (", but it runs in the same cluster." if key.name in trusted.inside else ".")
        for key in sorted(seen, key=lambda key: key.name)
    ]


def _open_questions(trusted: Trusted, seen: Iterable[VerifierKey]) -> tuple[str, ...]:
    found = []
    outside = [key for key in seen if key.name not in trusted.inside]
    if trusted.inside:
        found.append(
            f"{', '.join(trusted.inside)} runs in the same cluster as the log: who rules the "
            "cluster holds both keys, and could have made another history for both."
        )
    if not outside and trusted.earlier is None:
        found.append(
            "Nothing kept outside was compared: whoever holds the log's key could have written it "
            "anew. Keep this checkpoint, and give it with --checkpoint the next time."
        )
    return tuple(found)


def _told_of(rule: str, path: str, detail: str, *, leaf: int | None) -> str:
    where = path if leaf is None else f"leaf {leaf} ({path})"
    return f"{rule}: {where}: {detail}"
