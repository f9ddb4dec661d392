"""Merkle trees and their proofs as RFC 6962, section 2.1, defines them, with SHA-256.

Hashes are 32 bytes. Sizes count leaves, indexes begin at 0. Proofs are verified by the
algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which describe the same trees.
"""

import hashlib
from collections.abc import Callable, Sequence

from carrel.ledger.errors import EvidenceError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""

Proof = tuple[bytes, ...]
"""Hashes from the leaves towards the root."""

Subtree = Callable[[int, int], bytes]
"""Gives the Merkle Tree Hash of the leaves from `start` until before `end`."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from those of its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over nodes of one level, the last of which may be smaller."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    sha256 = hashlib.sha256
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        # Written out, because this line is nearly all that a check of a whole log does.
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0]


def inclusion_proof(index: int, size: int, *, subtree: Subtree) -> Proof:
    """Prove that leaf `index` is in the tree of `size` leaves.

    Raises:
        EvidenceError: when there is no such leaf.

    """
    if not 0 <= index < size:
        raise EvidenceError("leaf_is_outside", f"there is no leaf {index} among {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(subtree(middle, end))
            end = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(old: int, new: int, *, subtree: Subtree) -> Proof:
    """Prove that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Empty when there is nothing to prove: `old` is 0 or equals `new`.

    Raises:
        EvidenceError: when `old` is larger than `new`.

    """
    if not 0 <= old <= new:
        raise EvidenceError("tree_shrinks", f"{old} leaves cannot be the beginning of {new}")
    if old in {0, new}:
        return ()
    proof: list[bytes] = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(subtree(middle, end))
            end = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    if start:
        proof.append(subtree(start, end))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Proof, root: bytes) -> None:
    """Check that the leaf with hash `leaf` stands at `index` in the tree with `root`.

    Raises:
        EvidenceError: when it is not proven.

    """
    if not 0 <= index < size:
        raise EvidenceError("leaf_is_outside", f"there is no leaf {index} among {size}")
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise EvidenceError("proof_is_too_long", f"{len(proof)} hashes for {size} leaves")
        if place % 2 or place == last:
            found = node_hash(step, found)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise EvidenceError("leaf_is_not_included", f"leaf {index} is not in the tree of {size}")


def verify_consistency(
    *, old: int, old_root: bytes, new: int, new_root: bytes, proof: Proof
) -> None:
    """Check that the tree with `old_root` is the beginning of the tree with `new_root`.

    Raises:
        EvidenceError: when it is not proven.

    """
    if not 0 <= old <= new:
        raise EvidenceError("tree_shrinks", f"{old} leaves cannot be the beginning of {new}")
    if old in {0, new}:
        expected = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != expected:
            raise EvidenceError("trees_differ", f"two trees of {old} leaves are not the same")
        return
    _verify_growth(old, old_root, new, new_root, proof)


def _verify_growth(old: int, old_root: bytes, new: int, new_root: bytes, proof: Proof) -> None:
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise EvidenceError("proof_is_too_short", f"no hash proves growth from {old} to {new}")
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise EvidenceError("proof_is_too_long", f"{len(proof)} hashes for {new} leaves")
        if place % 2 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    if last or before != old_root or after != new_root:
        raise EvidenceError(
            "trees_differ", f"the tree of {old} leaves is not the beginning of that of {new}"
        )


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
