"""Laws of the tree of digests: a part is provable, and nothing else is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.rules.merkle import Leaf, Node, ProofError, pruned, tree, verified

NAMES = st.text(alphabet="AB1.", min_size=1, max_size=3)
LEAVES = st.lists(
    st.builds(
        Leaf,
        branch=st.lists(NAMES, max_size=3).map(tuple),
        path=st.text(max_size=6),
        sha256=st.sampled_from(["0" * 64, "1" * 64]),
        size=st.integers(0, 9),
    ),
    unique_by=lambda leaf: leaf.path,
    max_size=12,
)


def names(node: Node) -> set[str]:
    return {node.name}.union(*(names(child) for child in node.children))


@given(LEAVES, st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_the_order_of_files(leaves: list[Leaf], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - hypothesis' own random
    shuffled = list(leaves)
    random.shuffle(shuffled)
    assert tree(shuffled).digest == tree(leaves).digest


@given(LEAVES, st.data())
def test_another_file_gives_another_root(leaves: list[Leaf], data: st.DataObject) -> None:
    if not leaves:
        return
    at = data.draw(st.integers(0, len(leaves) - 1))
    changed = replace(leaves[at], size=leaves[at].size + 1)
    assert tree([*leaves[:at], changed, *leaves[at + 1 :]]).digest != tree(leaves).digest
    assert tree([*leaves[:at], *leaves[at + 1 :]]).digest != tree(leaves).digest


@given(LEAVES, st.data())
def test_any_part_is_provable_and_the_proof_tells_that_part_alone(
    leaves: list[Leaf], data: st.DataObject
) -> None:
    kept = set(data.draw(st.lists(st.sampled_from(leaves)))) if leaves else set()
    whole = tree(leaves)
    proof = pruned(whole, keep=kept.__contains__)
    assert set(verified(proof, root=whole.digest)) == kept
    assert names(proof) - {""} <= {name for leaf in kept for name in leaf.branch}


@given(LEAVES, st.data())
def test_a_file_that_was_slipped_into_a_proof_is_found(
    leaves: list[Leaf], data: st.DataObject
) -> None:
    whole = tree(leaves)
    foreign = Leaf(branch=(), path="x" * 7, sha256="2" * 64, size=1)
    with pytest.raises(ProofError):
        verified(replace(whole, children=(*whole.children, Node(foreign.digest, leaf=foreign))),
                 root=whole.digest)  # fmt: skip
    if leaves:
        at = data.draw(st.integers(0, len(whole.children) - 1))
        posing = Node(whole.children[at].digest, leaf=foreign)
        children = (*whole.children[:at], posing, *whole.children[at + 1 :])
        with pytest.raises(ProofError, match="leaf_differs"):
            verified(replace(whole, children=children), root=whole.digest)


def test_a_proof_of_another_version_is_refused() -> None:
    with pytest.raises(ProofError, match="root_differs"):
        verified(tree([]), root="0" * 64)


def test_two_files_at_one_path_have_no_tree() -> None:
    leaf = Leaf(branch=("S",), path="a", sha256="0" * 64, size=1)
    with pytest.raises(ProofError, match="path_is_repeated"):
        tree([leaf, replace(leaf, branch=())])
