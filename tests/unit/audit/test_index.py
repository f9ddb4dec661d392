"""The index finds what the records say, and nothing that they do not hold."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from carrel.audit.index import Index
from carrel.audit.query import By, Order, Page, Query, QueryError, QueryTimeoutError
from carrel.audit.row import Decision
from carrel.audit.source import SourceError, source_of
from carrel.ledger import Activity, Keyring
from support.audit_log import NOW, BuiltLog, event, write_chain


def found(page: Page) -> list[str]:
    return [str(hit.stored.said.get("detail", {}).get("mark", "")) for hit in page.hits]


@pytest.fixture
def chains(tmp_path: Path) -> Path:
    folder = tmp_path / "chains"
    write_chain(
        folder / "node",
        [
            # The node tells of a workspace before anybody said whose it is.
            event(Activity.TRAFFIC_DENIED, minute=5, actor="node", address="192.0.2.1", mark="a"),
            event(
                Activity.TRAFFIC_DENIED,
                minute=6,
                actor="node",
                workspace="heart-b2",
                grant="heart",
                address="192.0.2.2",
                count=7,
                mark="b",
            ),
        ],
    )
    write_chain(
        folder / "operator",
        [
            event(
                Activity.GRANT_ADMITTED,
                minute=1,
                researcher="jane-7f",
                datasets="lung@1.0 heart@2.0",
                mark="c",
            ),
            event(
                Activity.GRANT_ADMITTED,
                minute=2,
                grant="heart",
                workspace="heart-b2",
                researcher="omar-11",
                datasets="heart@2.0",
                mark="d",
            ),
            event(Activity.WORKSPACE_CLOSED, minute=9, reason="Revoked", mark="e"),
        ],
    )
    return folder


@pytest.fixture
def index(chains: Path, tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "index.sqlite", source_of(chains)) as opened:
        opened.follow()
        yield opened


@pytest.mark.parametrize(
    ("query", "marks"),
    [
        (Query(), ["e", "b", "a", "d", "c"]),
        (Query(order=Order.OLDEST), ["c", "d", "a", "b", "e"]),
        (Query(person="jane-7f"), ["e", "a", "c"]),
        (Query(person="omar-11"), ["b", "d"]),
        (Query(person="nobody"), []),
        (Query(grant="heart"), ["b", "d"]),
        (Query(dataset="lung@1.0"), ["e", "a", "c"]),
        (Query(dataset="heart@2.0"), ["e", "b", "a", "d", "c"]),
        (Query(dataset="heart@2.0", workspace="heart-b2"), ["b", "d"]),
        (Query(dataset="none"), []),
        (Query(hosts=("192.0.2.2",)), ["b"]),
        (Query(hosts=("192.0.2.1", "192.0.2.2")), ["b", "a"]),
        (Query(workspace="heart-b2"), ["b", "d"]),
        (Query(decision=Decision.REFUSED), ["b", "a"]),
        (Query(decision=Decision.ENDED), ["e"]),
        (Query(activities=("GrantAdmitted",), person="omar-11"), ["d"]),
        (Query(since=NOW + timedelta(minutes=6)), ["e", "b"]),
        (Query(until=NOW + timedelta(minutes=2)), ["c"]),
    ],
)
def test_a_question_finds_exactly_its_records(query: Query, marks: list[str], index: Index) -> None:
    assert found(index.search(query)) == marks


@pytest.mark.parametrize("dataset", [None, "heart@2.0"])
@pytest.mark.parametrize("order", Order)
def test_pages_give_every_record_once(order: Order, dataset: str | None, index: Index) -> None:
    one_by_one = [found(Page((hit,), None))[0] for hit in index.every(
        Query(order=order, dataset=dataset, limit=1))]  # fmt: skip
    assert one_by_one == found(index.search(Query(order=order, dataset=dataset)))
    assert len(one_by_one) == 5


def test_a_record_for_many_attempts_counts_as_many(index: Index) -> None:
    refused = Query(decision=Decision.REFUSED)
    assert index.counted((By.PERSON, By.HOST), refused) == [
        (("omar-11", "192.0.2.2"), 7),
        (("jane-7f", "192.0.2.1"), 1),
    ]


def test_an_index_goes_on_where_it_was(chains: Path, tmp_path: Path) -> None:
    path, source = tmp_path / "index.sqlite", source_of(chains)
    for taken in (5, 0):
        with Index(path, source) as opened:
            assert opened.follow() == taken
    write_chain(chains / "late", [event(Activity.GRANT_ENDED, minute=20, mark="f")])
    with Index(path, source) as opened:
        assert opened.follow() == 1
        assert found(opened.search(Query(limit=1))) == ["f"]


@pytest.mark.parametrize("ruin", [b"no database at all", b"", b"SQLite format 3\x00" + b"x" * 900])
def test_a_ruined_index_is_made_anew(ruin: bytes, chains: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(ruin)
    with Index(path, source_of(chains)) as opened:
        assert opened.follow() == 5


def test_a_line_on_its_way_is_taken_when_it_is_whole(chains: Path, tmp_path: Path) -> None:
    segment = chains / "node" / f"{1:020}.jsonl"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-10])
    with Index(tmp_path / "index.sqlite", source_of(chains)) as opened:
        assert opened.follow() == 4
        segment.write_bytes(whole)
        assert opened.follow() == 1
        assert len(opened.search(Query()).hits) == 5


def test_what_is_no_record_is_counted_and_named(chains: Path, tmp_path: Path) -> None:
    odd = b'{"event": 1}\n[]\nnull\n\xff\xfe\n' + b"[" * 5000 + b"\n"
    (chains / "odd").mkdir()
    (chains / "odd" / f"{1:020}.jsonl").write_bytes(odd)
    with Index(tmp_path / "index.sqlite", source_of(chains)) as opened:
        opened.follow()
        assert opened.search(Query()).unreadable == 5
        assert [at for _, at, _ in opened.unreadable()] == [0, 13, 16, 21, 24]
        assert len(opened.search(Query()).hits) == 5


@pytest.mark.parametrize(
    "said",
    [
        '{"carrel": "text", "time": 5}',
        '{"carrel": {"activity": 7, "detail": [1], "sealed": 3, "actor": null}, "time": "x"}',
        '{"carrel": {"activity": "Unheard", "detail": {"code": "x", "count": -4}}}',
        '{"time": 99999999999999999999999999, "carrel": {"time": "9999999-01-01"}}',
        '{"carrel": {"activity": "\\ud800", "detail": {"name": "\\udfff"}}}',
        '{"carrel": {"detail": {"count": 1e300, "datasets": 5}}, "time": true}',
    ],
)
def test_a_record_of_a_foreign_hand_does_no_harm(said: str, tmp_path: Path) -> None:
    line = f'{{"digest":"x","event":{said},"previous":"y","sequence":1}}\n'
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "1.jsonl").write_text(line)
    with Index(tmp_path / "index.sqlite", source_of(tmp_path)) as opened:
        assert opened.follow() == 1
        assert len(opened.search(Query()).hits) == 1


@pytest.mark.long
def test_every_row_of_a_log_says_its_leaf(tmp_path: Path) -> None:
    log = BuiltLog(tmp_path / "log")
    log.append([event(Activity.HEARTBEAT, minute=n, mark=str(n)) for n in range(300)])
    with Index(tmp_path / "index.sqlite", source_of(log.folder)) as opened:
        assert opened.follow() == 300
        # A bundle that fills up replaces its partial form.
        log.append(
            [event(Activity.HEARTBEAT, minute=300 + n, mark=str(300 + n)) for n in range(300)]
        )
        (log.folder / "tile/entries/001.p/44").unlink()
        assert opened.follow() == 300
        hits = list(opened.every(Query(order=Order.OLDEST, limit=100)))
    assert [hit.stored.place.leaf for hit in hits] == list(range(600))
    assert [hit.stored.said["detail"]["mark"] for hit in hits] == [str(n) for n in range(600)]


def test_a_sealed_name_is_found_with_the_key_and_counted_without(tmp_path: Path) -> None:
    key = Keyring(tmp_path / "keys").make("lung")
    sealed = key.seal("Evil.Example", field="name")
    write_chain(
        tmp_path / "chains" / "node", [event(Activity.TRAFFIC_DENIED, sealed=sealed, mark="a")]
    )
    with Index(tmp_path / "index.sqlite", source_of(tmp_path / "chains")) as opened:
        opened.follow()
        assert found(opened.search(Query(hosts=(key.index("evil.example"),)))) == ["a"]
        assert opened.search(Query(hosts=("evil.example",))).hits == ()
        assert opened.counted((By.HOST,), Query()) == [((sealed.index,), 1)]
    assert b"evil" not in (tmp_path / "index.sqlite").read_bytes().lower()


def test_a_record_that_is_gone_is_said_to_be_gone(chains: Path, tmp_path: Path) -> None:
    with Index(tmp_path / "index.sqlite", source_of(chains)) as opened:
        opened.follow()
        (chains / "node" / f"{1:020}.jsonl").unlink()
        page = opened.search(Query())
    assert len(page.hits) == 3
    assert len(page.lost) == 2


@pytest.mark.long
def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    events = [event(Activity.HEARTBEAT, minute=n) for n in range(3000)]
    write_chain(tmp_path / "chains" / "node", events)
    with Index(tmp_path / "index.sqlite", source_of(tmp_path / "chains")) as opened:
        opened.follow()
        with pytest.raises(QueryTimeoutError, match="question_takes_too_long"):
            opened.counted((By.HOST,), Query(), seconds=-1)
        assert opened.search(Query()).hits


@pytest.mark.parametrize(
    "cursor", ["", "1", "a-b", "1-2-3", "-1-5", "1-" + "9" * 60, "\u0661-\u0661"]
)
def test_a_cursor_of_no_page_is_refused(cursor: str, index: Index) -> None:
    with pytest.raises(QueryError, match="cursor_is_unknown"):
        index.search(Query(cursor=cursor))


def test_a_page_has_a_bound() -> None:
    for limit in (0, 1001):
        with pytest.raises(QueryError, match="page_is_too_large"):
            Query(limit=limit)
    with pytest.raises(QueryError, match="time_has_no_zone"):
        Query(since=NOW.replace(tzinfo=None))


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="folder_holds_no_records"):
        source_of(tmp_path)
    with pytest.raises(SourceError, match="folder_is_missing"):
        source_of(tmp_path / "none")
