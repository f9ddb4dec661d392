"""What is sealed, who reads it, and what remains when a key is deleted."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carrel.ledger import Activity, Event, Keyring, SealedError
from carrel.ledger.record import BEGINNING, chained, parsed

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_sealed_name_reads_only_with_its_key_and_as_its_field(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    lung, heart = ring.make("lung"), ring.make("heart")
    sealed = lung.seal("secret.evil.example", field="name")
    assert lung.open(sealed, field="name") == "secret.evil.example"
    for key, field in ((heart, "name"), (lung, "url")):
        with pytest.raises(SealedError, match="sealed_field_does_not_open"):
            key.open(sealed, field=field)


def test_an_altered_box_does_not_open(tmp_path: Path) -> None:
    key = Keyring(tmp_path).make("lung")
    sealed = key.seal("evil.example", field="name")
    flipped = "A" if sealed.box[20] != "A" else "B"
    box = sealed.box[:20] + flipped + sealed.box[21:]
    with pytest.raises(SealedError, match="sealed_field_does_not_open"):
        key.open(sealed.model_copy(update={"box": box}), field="name")


def test_equal_names_of_one_project_are_equal_unread(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    lung, heart = ring.make("lung"), ring.make("heart")
    one, two = lung.seal("Evil.Example.", field="name"), lung.seal("evil.example", field="url")
    assert one.index == two.index == lung.index("evil.example")
    assert one.box != two.box
    assert heart.index("evil.example") != one.index
    assert lung.index("evil.exampl") != one.index


@pytest.mark.parametrize("odd", [b"\xff\x00", "\ud800", "", "x" * 100_000, "\x1b[2J"])
def test_odd_texts_are_sealed(odd: bytes | str, tmp_path: Path) -> None:
    key = Keyring(tmp_path).make("lung")
    sealed = key.seal(odd, field="name")
    event = Event(activity=Activity.TRAFFIC_DENIED, time=NOW, actor="node", sealed={"name": sealed})
    assert len(chained(event, after=BEGINNING).line) < 65_536
    assert key.index(odd.decode("utf-8", "backslashreplace") if isinstance(odd, bytes) else odd)


def test_deleting_a_key_leaves_the_record_as_it_is(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    sealed = ring.make("lung").seal("evil.example", field="name")
    event = Event(activity=Activity.TRAFFIC_DENIED, time=NOW, actor="node", sealed={"name": sealed})
    record = chained(event, after=BEGINNING)
    ring.delete("lung")
    ring.delete("lung")
    assert ring.projects() == ()
    with pytest.raises(SealedError, match="key_is_not_here"):
        ring.key("lung")
    assert parsed(record.line, after=BEGINNING) == record
    assert ring.make("lung").key_id != sealed.key


def test_two_who_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: Keyring(tmp_path).make("lung"), range(64)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lung.key"]
    assert stat.S_IMODE((tmp_path / "lung.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "../lung", ".lung", "a/b"])
def test_a_project_is_a_name_and_not_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(SealedError, match="project_is_not_a_name"):
        Keyring(tmp_path).make(name)
