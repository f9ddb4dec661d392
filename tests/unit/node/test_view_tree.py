"""Views: trees of hard links that hold exactly what manifest and selection say."""

import hashlib
from pathlib import Path

import pytest

from carrel.kinds.dataset import Selection
from carrel.kinds.workspace import ViewedDataset
from carrel.node.manifest import ViewError, object_path
from carrel.node.view_tree import Built, Views
from support.published import publish

WORKSPACE = "ws-a"
DIGEST = "sha256:" + "1" * 64
ROWS = tuple(
    {
        "subject": f"S{subject}",
        "study_uid": f"1.{subject}",
        "series_uid": f"1.{subject}.{series}",
        "sop_uid": f"1.{subject}.{series}.{instance}",
        "content": f"{subject}{series}{instance}".encode(),
    }
    for subject in (1, 2)
    for series in (1, 2)
    for instance in (1, 2, 3)
)


@pytest.fixture
def views(tmp_path: Path) -> Views:
    made = Views(tmp_path)
    made.prepare()
    return made


def _files(store: Path) -> set[str]:
    base = store / "views" / WORKSPACE
    return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}


def test_a_view_holds_every_instance_without_a_byte_copied(views: Views, tmp_path: Path) -> None:
    dataset = publish(tmp_path, ROWS)
    assert views.build(WORKSPACE, (dataset,), digest=DIGEST) == Built(files=12, bytes=36)
    assert len(_files(tmp_path)) == 12
    assert "lung/S1/1.1/1.1.2/1.1.2.3.dcm" in _files(tmp_path)
    link = tmp_path / "views" / WORKSPACE / "lung/S1/1.1/1.1.2/1.1.2.3.dcm"
    assert link.samefile(object_path(tmp_path / "datasets", hashlib.sha256(b"123").hexdigest()))
    assert views.digest(WORKSPACE) == DIGEST
    assert views.present() == {WORKSPACE}


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(subjects=("S1",)), 6),
        (Selection(studies=("1.2",)), 6),
        (Selection(series=("1.1.1",)), 3),
        (Selection(subjects=("S1",), series=("1.2.2",)), 9),
        (Selection(subjects=("S1", "unknown")), 6),
    ],
)
def test_a_selection_unites_what_is_listed(
    views: Views, tmp_path: Path, selection: Selection, count: int
) -> None:
    dataset = publish(tmp_path, ROWS).model_copy(update={"selection": selection})
    assert views.build(WORKSPACE, (dataset,), digest=DIGEST).files == count
    assert len(_files(tmp_path)) == count


def test_a_changed_view_takes_the_place_of_the_old_one_whole(views: Views, tmp_path: Path) -> None:
    dataset = publish(tmp_path, ROWS)
    views.build(WORKSPACE, (dataset,), digest=DIGEST)
    narrow = dataset.model_copy(update={"selection": Selection(series=("1.1.1",))})
    views.build(WORKSPACE, (narrow,), digest="sha256:" + "2" * 64)
    assert len(_files(tmp_path)) == 3
    assert views.digest(WORKSPACE) == "sha256:" + "2" * 64
    assert {path.name for path in (tmp_path / "views").iterdir()} == {WORKSPACE, "ws-a.digest"}


def test_a_removed_view_leaves_the_store_alone(views: Views, tmp_path: Path) -> None:
    views.build(WORKSPACE, (publish(tmp_path, ROWS),), digest=DIGEST)
    views.remove(WORKSPACE)
    views.remove(WORKSPACE)
    assert list((tmp_path / "views").iterdir()) == []
    assert (
        object_path(tmp_path / "datasets", hashlib.sha256(b"123").hexdigest()).read_bytes()
        == b"123"
    )


def _gone_object(store: Path, dataset: ViewedDataset) -> ViewedDataset:
    object_path(store / "datasets", hashlib.sha256(b"123").hexdigest()).unlink()
    return dataset


def _short_object(store: Path, dataset: ViewedDataset) -> ViewedDataset:
    object_path(store / "datasets", hashlib.sha256(b"123").hexdigest()).write_bytes(b"1")
    return dataset


def _gone_manifest(store: Path, dataset: ViewedDataset) -> ViewedDataset:
    next((store / "datasets" / "manifests").iterdir()).unlink()
    return dataset


def _altered_manifest(store: Path, dataset: ViewedDataset) -> ViewedDataset:
    with next((store / "datasets" / "manifests").iterdir()).open("ab") as file:
        file.write(b"x")
    return dataset


def _other_content(_: Path, dataset: ViewedDataset) -> ViewedDataset:
    return dataset.model_copy(update={"digest": "sha256:" + "0" * 64})


def _nothing_selected(_: Path, dataset: ViewedDataset) -> ViewedDataset:
    return dataset.model_copy(update={"selection": Selection()})


def _climbing_path(store: Path, _: ViewedDataset) -> ViewedDataset:
    return publish(store, ROWS[:1], path="../../../etc/cron.d/x.dcm")


def _climbing_object(store: Path, _: ViewedDataset) -> ViewedDataset:
    return publish(store, ROWS[:1], sha256="../" * 21 + "x")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_gone_object, "ObjectMissing"),
        (_short_object, "ObjectDiffers"),
        (_gone_manifest, "ManifestMissing"),
        (_altered_manifest, "ManifestDiffers"),
        (_other_content, "ContentDiffers"),
        (_nothing_selected, "SelectionEmpty"),
        (_climbing_path, "ManifestUnsafe"),
        (_climbing_object, "ManifestUnsafe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_published_builds_no_view(
    views: Views, tmp_path: Path, harm: object, reason: str
) -> None:
    dataset = harm(tmp_path, publish(tmp_path, ROWS))  # type: ignore[operator]  # a table of functions
    with pytest.raises(ViewError) as refused:
        views.build(WORKSPACE, (dataset,), digest=DIGEST)
    assert refused.value.reason == reason
    assert views.present() == frozenset()


def test_a_refused_change_leaves_the_present_view(views: Views, tmp_path: Path) -> None:
    dataset = publish(tmp_path, ROWS)
    views.build(WORKSPACE, (dataset,), digest=DIGEST)
    with pytest.raises(ViewError):
        views.build(WORKSPACE, (_other_content(tmp_path, dataset),), digest="sha256:" + "2" * 64)
    assert len(_files(tmp_path)) == 12
    assert views.digest(WORKSPACE) == DIGEST


def test_a_present_view_is_held_against_the_store(views: Views, tmp_path: Path) -> None:
    dataset = publish(tmp_path, ROWS)
    views.build(WORKSPACE, (dataset,), digest=DIGEST)
    assert views.verify(WORKSPACE, (dataset,)).files == 12
    link = tmp_path / "views" / WORKSPACE / "lung/S1/1.1/1.1.2/1.1.2.3.dcm"
    link.unlink()
    with pytest.raises(ViewError, match="does not hold"):
        views.verify(WORKSPACE, (dataset,))
    link.write_bytes(b"123")
    with pytest.raises(ViewError, match="not the store's own"):
        views.verify(WORKSPACE, (dataset,))


def test_what_an_earlier_build_left_half_done_is_in_nobodys_way(
    views: Views, tmp_path: Path
) -> None:
    (tmp_path / "views" / ".arriving.ws-a" / "lung").mkdir(parents=True)
    (tmp_path / "views" / ".leaving.ws-a").mkdir()
    assert views.present() == frozenset()
    assert views.build(WORKSPACE, (publish(tmp_path, ROWS),), digest=DIGEST).files == 12


def test_a_store_without_links_is_told_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "views").symlink_to("/proc")  # a file system that holds no links
    with pytest.raises(OSError, match=r"\.probe"):
        Views(tmp_path).prepare()
