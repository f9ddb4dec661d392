"""The job: killed, repeated or fed with something else than was sealed, it ends right."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from carrel.cluster import Ref
from carrel.dicom import READER_LIMITS, Accepted, Refused, Rule
from carrel.flows.demo_data import write_demo_data
from carrel.ingest.collected import collected, content_digest, upload_digest
from carrel.ingest.crew import performed
from carrel.ingest.job import JobError
from carrel.ingest.reading import Order, Seen, decoded, encoded, perform
from carrel.ingest.staging import StagedFile, Staging
from carrel.kinds.resource import ConditionStatus
from support.ingest_world import DATASETS, INGESTS, World, world
from support.lethal import DEADLY_SIZE, lethal_limits

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("images") / "sample"
    write_demo_data(folder)
    return [path.read_bytes() for path in sorted(folder.rglob("*.dcm"))][:12]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as found:
        yield found


def stage(staging: Staging, uid: str, files: list[bytes]) -> list[StagedFile]:
    """Put files where the service puts them."""
    area = staging.area(uid)
    shelf = area._files / "00000"
    shelf.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(files):
        (shelf / f"{index:08}.{hashlib.sha256(data).hexdigest()}").write_bytes(data)
    return list(area.files())


def sealed(files: list[bytes]) -> dict[str, object]:
    lines = "".join(f"{i} {hashlib.sha256(data).hexdigest()}\n" for i, data in enumerate(files))
    return {
        "files": len(files),
        "bytes": sum(map(len, files)),
        "digest": "sha256:" + hashlib.sha256(lines.encode()).hexdigest(),
    }


async def begun(
    place: World, files: list[bytes], *, name: str = "lung-1", seal: dict[str, object] | None = None
) -> str:
    """Make a sealed ingest whose files are staged; return its UID."""
    stored = await place.cluster.create(
        {
            "apiVersion": INGESTS.api_version,
            "kind": INGESTS.kind,
            "metadata": {"name": name},
            "spec": {
                "name": "lung",
                "title": "Lung",
                "source": "Site A",
                "manager": "oidc:manager",
                "tokenDigest": "sha256:" + "0" * 64,
                "approvals": 1,
                "upload": "Sealed",
                "sealed": seal or sealed(files),
            },
        }
    )
    uid = str(stored["metadata"]["uid"])
    stage(place.staging, uid, files)
    return uid


async def conditions(place: World, name: str = "lung-1") -> list[tuple[str, str, str]]:
    status = (await place.ingest(name)).status
    return [(each.type, each.status.value, each.reason) for each in status.conditions]


def datasets(place: World) -> list[str]:
    return sorted(ref.name for ref in place.cluster.objects if ref.kind == DATASETS)


async def test_a_second_run_of_the_same_job_publishes_nothing_new(
    place: World, images: list[bytes]
) -> None:
    await begun(place, images)
    await place.job("lung-1")
    # As after a kill between the Dataset and the word of it.
    place.cluster.set_status(Ref(INGESTS, "lung-1"), {"conditions": []})
    await place.job("lung-1")
    assert datasets(place) == ["lung.v1"]
    assert (await conditions(place))[2] == ("Published", "True", "Published")


async def test_a_job_that_starts_after_staging_was_emptied_leaves_what_was_said(
    place: World, images: list[bytes]
) -> None:
    uid = await begun(place, images)
    await place.job("lung-1")
    place.staging.area(uid).remove()
    said = (await place.ingest("lung-1")).status
    await place.job("lung-1")
    assert (await place.ingest("lung-1")).status == said


async def test_two_ingests_of_one_content_are_two_versions_of_equal_digest(
    place: World, images: list[bytes]
) -> None:
    await begun(place, images)
    await begun(place, list(reversed(images)), name="lung-2")
    await place.job("lung-1")
    await place.job("lung-2")
    first, second = [(await place.dataset(name)).spec for name in ("lung.v1", "lung.v2")]
    assert (first.digest, first.manifest_digest) == (second.digest, second.manifest_digest)


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": 13},
        {"bytes": 1},
        {"digest": "sha256:" + "0" * 64},
    ],
)
async def test_an_upload_that_is_not_what_was_sealed_publishes_nothing(
    place: World, images: list[bytes], wrong: dict[str, object]
) -> None:
    await begun(place, images, seal={**sealed(images), **wrong})
    await place.job("lung-1")
    assert await conditions(place) == [
        ("Staged", "False", "UploadDiffers"),
        ("Gated", "False", "NotReached"),
        ("Published", "False", "NotPublished"),
    ]
    assert datasets(place) == []


async def test_a_file_that_changed_in_staging_publishes_nothing(
    place: World, images: list[bytes]
) -> None:
    uid = await begun(place, images)
    file = next(place.staging.area(uid).files())
    file.path.write_bytes(file.path.read_bytes()[:-1] + b"\xff")
    await place.job("lung-1")
    assert (await conditions(place))[0] == ("Staged", "False", "UploadDiffers")
    assert datasets(place) == []


async def test_a_store_that_fails_is_told_and_the_next_run_goes_on(
    place: World, images: list[bytes]
) -> None:
    await begun(place, images)
    place.store.mkdir()
    (place.store / "manifests").write_text("a file stands in the way")
    with pytest.raises(OSError, match="manifests"):
        await place.job("lung-1")
    assert (await conditions(place))[1] == ("Gated", "Unknown", "StoreFailed")
    (place.store / "manifests").unlink()
    await place.job("lung-1")
    assert (await conditions(place))[2] == ("Published", "True", "Published")


async def test_an_open_upload_is_not_read(place: World, images: list[bytes]) -> None:
    await begun(place, images)
    ref = Ref(INGESTS, "lung-1")
    place.cluster.objects[ref]["spec"] |= {"upload": "Open"}
    del place.cluster.objects[ref]["spec"]["sealed"]
    with pytest.raises(JobError, match="upload_is_not_sealed"):
        await place.job("lung-1")


async def test_an_unknown_ingest_is_said_so(place: World) -> None:
    with pytest.raises(JobError, match="ingest_is_unknown"):
        await place.job("nobody")


async def test_a_file_that_kills_its_reader_is_refused_and_the_others_go_on(
    tmp_path: Path, images: list[bytes]
) -> None:
    files = stage(Staging(tmp_path / "staging"), "uid", [*images, b"x" * DEADLY_SIZE, images[0]])
    orders = [
        Order(
            tmp_path / "store", tmp_path / "work", tuple(files[start : start + 5]), lethal_limits()
        )
        for start in range(0, len(files), 5)
    ]
    seen: list[Seen] = []
    async for result in performed(orders, workers=2):
        seen += decoded(result.read_bytes())
    by_index = {each.index: each.outcome for each in seen}
    assert len(by_index) == len(seen) == len(files)
    assert by_index.pop(12) == Refused(Rule.FILE_BREAKS_THE_READER)
    assert all(isinstance(outcome, Accepted) for outcome in by_index.values())


_READER = """
import pickle, sys
from carrel.ingest.reading import perform
perform(pickle.load(sys.stdin.buffer))
print("done")
"""


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_chunk_that_is_killed_is_whole_after_the_next_run(
    tmp_path: Path, images: list[bytes], moment: float
) -> None:
    import pickle  # noqa: PLC0415 - hands a value to our own process

    files = tuple(stage(Staging(tmp_path / "staging"), "uid", images))
    order = Order(tmp_path / "store", tmp_path / "work", files, READER_LIMITS)
    process = subprocess.Popen(
        [sys.executable, "-c", _READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        process.communicate(pickle.dumps(order), timeout=moment + 0.3)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    seen = decoded(perform(order).read_bytes())
    assert [each.index for each in seen] == list(range(len(images)))
    for each, data in zip(seen, images, strict=True):
        digest = hashlib.sha256(data).hexdigest()
        assert each.digest == digest
        content = tmp_path / "store" / "objects" / digest[:2] / digest[2:]
        assert content.read_bytes() == data
        assert content.stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "work" / "arriving").iterdir()) == []


async def test_a_run_that_was_killed_does_not_read_again_what_it_had_read(
    place: World, images: list[bytes]
) -> None:
    uid = await begun(place, images)
    work = place.store / "ingests" / uid
    files = tuple(place.staging.area(uid).files())
    perform(Order(place.store, work, files, READER_LIMITS))
    for file in files:
        file.path.write_bytes(b"another content now")
    await place.job("lung-1")
    assert (await conditions(place))[2] == ("Published", "True", "Published")


def test_results_read_back_as_they_were_written(tmp_path: Path, images: list[bytes]) -> None:
    files = tuple(stage(Staging(tmp_path / "s"), "uid", [*images, b"no image"]))
    seen = decoded(
        perform(Order(tmp_path / "store", tmp_path / "w", files, READER_LIMITS)).read_bytes()
    )
    assert decoded(encoded(seen)) == seen


def test_rows_and_digests_do_not_depend_on_the_order_of_files(
    tmp_path: Path, images: list[bytes]
) -> None:
    files = tuple(stage(Staging(tmp_path / "s"), "uid", [*images, images[3]]))
    seen = decoded(
        perform(Order(tmp_path / "store", tmp_path / "w", files, READER_LIMITS)).read_bytes()
    )
    one, other = collected(seen), collected(reversed(seen))
    assert one == other
    assert content_digest(one.rows) == content_digest(reversed(other.rows))
    assert upload_digest(seen) == upload_digest(reversed(seen))
    assert [(each.index, each.rule) for each in one.refusals] == [(12, "content_is_duplicated")]


async def test_working_papers_shrink_to_the_report(place: World, images: list[bytes]) -> None:
    uid = await begun(place, [*images, b"no image"])
    progress = await place.job("lung-1")
    assert progress.published.status is ConditionStatus.TRUE
    work = place.store / "ingests" / uid
    assert sorted(path.name for path in work.rglob("*") if path.is_file()) == ["report.jsonl"]
    assert (work / "report.jsonl").read_text() == (
        '{"index": 12, "rule": "file_is_not_dicom", "detail": "no DICM mark at byte 128"}\n'
    )
    shutil.rmtree(work)
