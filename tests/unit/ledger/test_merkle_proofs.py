"""Trees, proofs, tiles and notes against the specifications and a reader that shares no code."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from carrel.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from carrel.ledger.errors import EvidenceError
from carrel.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from carrel.ledger.note import KeyType, SigningKey, VerifierKey, parse_note, verify_note
from carrel.ledger.tiles import (
    Growth,
    Tile,
    decode_bundle,
    encode_bundle,
    subtrees_from,
    tile_at,
    tiles_of,
)
from support import tlog_reader

INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
# The vectors that implementations of Certificate Transparency share.
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
)
# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ON"
    "ncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def hashes(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(size)]


def signing_key(name: str, of: KeyType = KeyType.LOG) -> SigningKey:
    return SigningKey(name, of, Ed25519PrivateKey.generate())


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_those_of_rfc_6962(size: int) -> None:
    assert root_of([leaf_hash(bytes.fromhex(each)) for each in INPUTS[:size]]).hex() == ROOTS[size]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 600), st.data())
def test_proofs_are_those_of_the_definition_and_hold(size: int, data: st.DataObject) -> None:
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))

    def subtree(start: int, end: int) -> bytes:
        return tlog_reader.tree_hash(leaves[start:end])

    included = inclusion_proof(index, size, subtree=subtree)
    grown = consistency_proof(old, size, subtree=subtree)
    assert list(included) == tlog_reader.inclusion_path(index, leaves)
    assert list(grown) == (tlog_reader.growth_path(old, leaves) if old else [])
    root, old_root = root_of(leaves), root_of(leaves[:old])
    verify_inclusion(leaves[index], index=index, size=size, proof=included, root=root)
    verify_consistency(old=old, old_root=old_root, new=size, new_root=root, proof=grown)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 300), st.data())
def test_no_altered_proof_holds(size: int, data: st.DataObject) -> None:
    leaves = hashes(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    root, old_root = root_of(leaves), root_of(leaves[:old])
    path = tuple(tlog_reader.inclusion_path(index, leaves))
    growth = tuple(tlog_reader.growth_path(old, leaves))
    other = leaf_hash(b"another")
    at, to = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, len(growth) - 1))
    for bad in ((*path[:at], other, *path[at + 1 :]), path[:-1], (*path, other)):
        with pytest.raises(EvidenceError):
            verify_inclusion(leaves[index], index=index, size=size, proof=bad, root=root)
    for bad in ((*growth[:to], other, *growth[to + 1 :]), growth[:-1], (*growth, other)):
        with pytest.raises(EvidenceError):
            verify_consistency(old=old, old_root=old_root, new=size, new_root=root, proof=bad)
    with pytest.raises(EvidenceError):
        verify_inclusion(other, index=index, size=size, proof=path, root=root)
    with pytest.raises(EvidenceError):
        verify_consistency(old=old, old_root=other, new=size, new_root=root, proof=growth)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(63, 1000, 255), "tile/63/x001/000.p/255"),
        (Tile(None, 273, 112), "tile/entries/273.p/112"),
        (Tile(None, 999_999), "tile/entries/x999/999"),
    ],
)
def test_tiles_are_named_as_specified(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tile_at(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/001",
        "tile/0/1",
        "tile/64/000",
        "tile/00/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/../000",
        "tile/entries/001/000",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0661",
    ],
)
def test_no_other_path_is_a_tile(path: str) -> None:
    with pytest.raises(EvidenceError, match="path_is_no_tile"):
        tile_at(path)


def test_a_tree_of_70000_has_the_tiles_of_the_example() -> None:
    found = [tile for tile in tiles_of(70_000) if tile.level is not None]
    partial = [(tile.level, tile.index, tile.width) for tile in found if tile.width < 256]
    full = [sum(tile.level == level and tile.width == 256 for tile in found) for level in range(3)]
    assert (full, partial) == ([273, 1, 0], [(0, 273, 112), (1, 1, 17), (2, 0, 1)])


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_a_tree_grown_in_any_steps_has_the_same_tiles_and_root(steps: list[int]) -> None:
    files: dict[str, bytes] = {}
    growth, leaves = Growth(), hashes(sum(steps))
    for step in steps:
        before = growth.size
        full = growth.append(leaves[before : before + step])
        files |= {tile.path: content for tile, content in (*full, *growth.partial())}
        wanted = {
            tile.path for tile in tiles_of(growth.size, since=before) if tile.level is not None
        }
        assert {tile.path for tile, _ in full} == {path for path in wanted if ".p/" not in path}
        assert wanted <= set(files)
        growth = Growth.restored(growth.size, lambda tile, files=files: files[tile.path])
        assert growth.root() == root_of(leaves[: growth.size])
    size = growth.size
    subtree = subtrees_from(lambda tile: files[tile.path], size=size)
    for index in range(0, size, 97):
        proof = inclusion_proof(index, size, subtree=subtree)
        assert list(proof) == tlog_reader.inclusion_path(index, leaves)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), width=len(entries)) == entries


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01ab", b"\x00\x01a\x00\x00", b""])
def test_a_bundle_that_is_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        decode_bundle(data, width=1)


def test_an_entry_that_no_bundle_holds_is_refused() -> None:
    with pytest.raises(EvidenceError, match="entry_is_too_large"):
        encode_bundle([b"a" * 65_536])


def test_the_example_of_the_specification_verifies() -> None:
    key = VerifierKey.parse(EXAMPLE_KEY)
    note = parse_note(EXAMPLE_NOTE)
    assert (key.text, note.data) == (EXAMPLE_KEY, EXAMPLE_NOTE)
    assert [each.key for each in verify_note(note, [key])] == [key]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 a b\n",
        b"te\x00xt\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 a AAAAAAAA",
        b"text\n\n- a AAAAAAAA\n",
        b"\xff\n\n\xe2\x80\x94 a AAAAAAAA\n",
        b"a" * 70_000,
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_note(data)


def test_a_checkpoint_is_opened_only_with_all_signatures_that_were_asked_for_holding() -> None:
    log, witness = signing_key("carrel/log"), signing_key("w/1", KeyType.COSIGNER)
    checkpoint = Checkpoint("carrel/log", 7, root_of(hashes(7)))
    note = parse_note((checkpoint.text + "\n" + log.sign(checkpoint.text).line).encode())
    cosigned = note.with_signatures([witness.cosign(checkpoint.text, time=1_700_000_000)])
    opened = open_checkpoint(cosigned.data, log=log.verifier, witnesses=[witness.verifier])
    assert opened.checkpoint == checkpoint
    assert [each.time for each in opened.by] == [None, 1_700_000_000]
    key = VerifierKey.parse(witness.verifier.text)
    assert tlog_reader.signed_by(cosigned.data, key.text) == checkpoint.text

    stranger = signing_key("carrel/log")
    with pytest.raises(EvidenceError, match="note_is_not_signed"):
        open_checkpoint(cosigned.data, log=stranger.verifier, witnesses=[witness.verifier])
    altered = cosigned.data.replace(b"\n7\n", b"\n8\n")
    with pytest.raises(EvidenceError, match="signature_does_not_match"):
        open_checkpoint(altered, log=log.verifier, witnesses=[])


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\n????\n", "a\n1\nAAAA\n", "a\n1"],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError, match="checkpoint_is_malformed"):
        parse_checkpoint(text)


def test_an_empty_log_has_the_root_of_the_empty_tree() -> None:
    empty = Checkpoint("a", 0, EMPTY_ROOT)
    assert parse_checkpoint(empty.text) == empty
    with pytest.raises(EvidenceError):
        parse_checkpoint(Checkpoint("a", 0, leaf_hash(b"")).text)
