"""The tree of digests of a dataset version: dataset, subject, study, series, file.

A part of a dataset is proven without the rest: the proof names the digests of the branches that
were left out, and none of their names. Leaves and nodes are hashed under different prefixes, so
that neither passes for the other (the reason is that of RFC 6962 section 2.1).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from carrel.rules.canonical import canonical_json

_LEAF, _NODE = b"\x00", b"\x01"
LEVELS = ("dataset", "subject", "study", "series")
"""What the nodes of the tree stand for, from the root down."""


@dataclass(frozen=True)
class Leaf:
    """One file of a dataset version."""

    branch: tuple[str, ...]
    """Subject, study and series; shorter for files that belong to a subject or to all."""
    path: str
    """Below the dataset's folder."""
    sha256: str
    """Content, in hexadecimal."""
    size: int
    """Bytes."""

    @property
    def digest(self) -> str:
        """Digest of the leaf, in hexadecimal."""
        text = canonical_json({"path": self.path, "sha256": self.sha256, "size": self.size})
        return hashlib.sha256(_LEAF + text.encode()).hexdigest()


@dataclass(frozen=True)
class Node:
    """A branch of the tree: a leaf, an inner node, or one of which only the digest is told."""

    digest: str
    """In hexadecimal."""
    level: str = ""
    """One of `LEVELS`; empty for leaves and for what was left out."""
    name: str = ""
    """Identifier of the subject, study or series."""
    children: tuple["Node", ...] = ()
    leaf: Leaf | None = None


class ProofError(ValueError):
    """A proof does not hold; the message says where."""


def tree(leaves: Iterable[Leaf]) -> Node:
    """Return the whole tree; the same files give the same root in whatever order they come.

    Raises:
        ProofError: when a path comes twice, or a branch is deeper than the levels.

    """
    whole = sorted(leaves, key=lambda leaf: (leaf.branch, leaf.path))
    if len({leaf.path for leaf in whole}) != len(whole):
        raise ProofError("path_is_repeated: two files of a dataset stand at one path")
    if any(len(leaf.branch) >= len(LEVELS) for leaf in whole):
        raise ProofError("branch_is_too_deep: a file belongs to a series at the deepest")
    return _grown(whole, depth=0, name="")


def pruned(root: Node, *, keep: Callable[[Leaf], object]) -> Node:
    """Return the proof of a part: what holds nothing that is kept shrinks to its digest."""
    if root.leaf is not None:
        return root if keep(root.leaf) else Node(root.digest)
    children = tuple(pruned(child, keep=keep) for child in root.children)
    if all(not child.level and child.leaf is None for child in children):
        return Node(root.digest)
    return Node(root.digest, root.level, root.name, children)


def verified(proof: Node, *, root: str) -> tuple[Leaf, ...]:
    """Return the files that a proof shows to belong to the dataset with the digest `root`.

    Raises:
        ProofError: when a digest is not the one of what stands below it.

    """
    if proof.digest != root:
        raise ProofError("root_differs: the proof is of another dataset version")
    return tuple(_checked(proof, level=0))


def _grown(leaves: Sequence[Leaf], *, depth: int, name: str) -> Node:
    own = [leaf for leaf in leaves if len(leaf.branch) == depth]
    children = [Node(leaf.digest, leaf=leaf) for leaf in own]
    deeper = [leaf for leaf in leaves if len(leaf.branch) > depth]
    start = 0
    for at in range(1, len(deeper) + 1):
        if at == len(deeper) or deeper[at].branch[depth] != deeper[start].branch[depth]:
            below = _grown(deeper[start:at], depth=depth + 1, name=deeper[start].branch[depth])
            children.append(below)
            start = at
    return _node(LEVELS[depth], name, tuple(children))


def _node(level: str, name: str, children: tuple[Node, ...]) -> Node:
    digest = _digest(level, name, children)
    return Node(digest, level, name, children)


def _digest(level: str, name: str, children: Iterable[Node]) -> str:
    text = canonical_json(
        {"children": [child.digest for child in children], "level": level, "name": name}
    )
    return hashlib.sha256(_NODE + text.encode()).hexdigest()


def _checked(node: Node, *, level: int) -> Iterable[Leaf]:
    if node.leaf is not None:
        if node.leaf.digest != node.digest:
            raise ProofError(f"leaf_differs: {node.leaf.path}")
        yield node.leaf
        return
    if not node.level:
        return
    if level >= len(LEVELS) or node.level != LEVELS[level]:
        raise ProofError(f"level_differs: a {node.level} stands where another level belongs")
    if _digest(node.level, node.name, node.children) != node.digest:
        raise ProofError(f"node_differs: the {node.level} does not have its digest")
    for child in node.children:
        yield from _checked(child, level=level + 1)
