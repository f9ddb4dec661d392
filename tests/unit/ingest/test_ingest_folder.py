"""A folder goes in at one end and a signed dataset version comes out at the other."""

import asyncio
import base64
import hashlib
import io
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rich.console import Console

from carrel.cli.dataset import ingest_folder, show_report
from carrel.cluster.errors import Forbidden
from carrel.flows.dataset_upload import Plan, UploadError
from carrel.flows.demo_data import DemoData, write_demo_data
from carrel.flows.ingest_following import Ending, RefusedFile, Report
from carrel.kinds.resource import ConditionStatus
from carrel.ledger import verify
from carrel.rules.dataset_signature import message
from support.ingest_world import NAMESPACE, World, world

pytestmark = pytest.mark.loopback
PLAN = Plan(name="lung", title="Lung CT", source="Site A", use=("DUO:0000007",), approvals=2)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoData]:
    folder = tmp_path_factory.mktemp("images") / "sample"
    return folder, write_demo_data(folder)


@pytest.fixture
def folder(tmp_path: Path, images: tuple[Path, DemoData]) -> Path:
    return Path(shutil.copytree(images[0], tmp_path / "folder"))


@pytest.fixture
def small(folder: Path) -> Path:
    for path in folder.rglob("*.dcm"):
        if path.stat().st_size > 50_000:
            path.unlink()
    return folder


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[World]:
    root = tmp_path / "world"
    root.mkdir()
    async with world(root) as found:
        yield found


async def ingested(place: World, folder: Path, *, plan: Plan = PLAN) -> Report:
    operator = asyncio.create_task(place.operator())
    following = asyncio.create_task(
        ingest_folder(
            folder,
            plan,
            cluster=place.cluster,
            namespace=NAMESPACE,
            memory=place.root / "memory",
            say=Console(file=io.StringIO()),
        )
    )
    done, _ = await asyncio.wait({operator, following}, return_when=asyncio.FIRST_COMPLETED)
    operator.cancel()
    assert following in done, operator.exception()
    return await following


async def test_the_sample_images_become_a_signed_dataset(
    place: World, folder: Path, images: tuple[Path, DemoData]
) -> None:
    made = images[1]
    done = await ingested(place, folder)
    assert (done.ending, done.dataset, done.accepted, done.refused) == (
        Ending.PUBLISHED,
        "lung.v1",
        made.files,
        (),
    )
    spec = (await place.dataset("lung.v1")).spec
    assert (spec.title, spec.source, spec.use, spec.approvals) == (
        PLAN.title,
        PLAN.source,
        PLAN.use,
        PLAN.approvals,
    )
    assert spec.counts.model_dump() == {
        "subjects": made.subjects,
        "studies": made.studies,
        "series": made.series,
        "instances": made.files,
        "bytes": made.bytes,
    }
    assert spec.modalities == ("CT", "MR")
    signed = message(
        name=spec.name, version=1, digest=spec.digest, manifest_digest=spec.manifest_digest
    )
    public = load_pem_private_key(place.key, password=None).public_key()
    public.verify(base64.b64decode(spec.signature), signed)  # type: ignore[union-attr,call-arg]  # an Ed25519 key


async def test_the_manifest_names_every_object_and_its_digest(place: World, small: Path) -> None:
    await ingested(place, small)
    spec = (await place.dataset("lung.v1")).spec
    manifest = place.store / "manifests" / f"{spec.manifest_digest.removeprefix('sha256:')}.parquet"
    assert "sha256:" + hashlib.sha256(manifest.read_bytes()).hexdigest() == spec.manifest_digest
    rows = pq.read_table(manifest).to_pylist()
    lines = sorted(f"{row['sha256']} {row['size']} {row['path']}\n".encode() for row in rows)
    assert "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest() == spec.digest
    for row in rows:
        content = place.store / "objects" / row["sha256"][:2] / row["sha256"][2:]
        assert hashlib.sha256(content.read_bytes()).hexdigest() == row["sha256"]
        assert content.stat().st_mode & 0o777 == 0o444
        assert content.stat().st_nlink == 1
    local = {hashlib.sha256(path.read_bytes()).hexdigest() for path in small.rglob("*.dcm")}
    assert {row["sha256"] for row in rows} == local


async def test_all_conditions_end_true_and_the_records_hold(place: World, small: Path) -> None:
    done = await ingested(place, small)
    status = (await place.ingest(done.ingest)).status
    assert [(each.type, each.status) for each in status.conditions] == [
        ("Staged", ConditionStatus.TRUE),
        ("Gated", ConditionStatus.TRUE),
        ("Published", ConditionStatus.TRUE),
    ]
    assert verify(place.root / "ledger" / "ingest").faults == ()


async def test_bad_files_are_told_one_by_one_and_the_rest_is_published(
    place: World, small: Path
) -> None:
    good = sorted(small.rglob("*.dcm"))
    (small / "a-note.txt").write_text("not an image")
    (small / "b-empty.dcm").touch()
    (small / "c-cut.dcm").write_bytes(good[0].read_bytes()[:-100])
    (small / "d-copy.dcm").write_bytes(good[1].read_bytes())
    same_name, other = good[2].read_bytes(), good[3].read_bytes()
    (small / "e-other-pixels.dcm").write_bytes(same_name[:-2] + bytes([1, 255 - same_name[-1]]))
    (small / "f-named.dcm").write_bytes(other.replace(b"YES ", b"NO  "))
    (small / "g-link.dcm").symlink_to("/etc/passwd")
    os.mkfifo(small / "h-pipe.dcm")
    Path(os.fsdecode(os.fsencode(small) + b"/i-\xff\x1b[2J\n.dcm")).write_bytes(b"hostile name")
    (small / "j-\u202egpj.dcm").write_bytes(b"name that reads backwards")
    done = await ingested(place, small)
    assert sorted(
        (each.file.removeprefix(f"{small}/"), each.rule) for each in done.refused
    ) == sorted(
        [
            ("a-note.txt", "file_is_not_dicom"),
            ("b-empty.dcm", "file_is_empty"),
            ("c-cut.dcm", "file_is_corrupt"),
            (f"{good[1].relative_to(small)}", "content_is_duplicated"),
            (f"{good[2].relative_to(small)}", "instance_is_duplicated"),
            ("e-other-pixels.dcm", "instance_is_duplicated"),
            ("f-named.dcm", "identity_is_not_removed"),
            ("g-link.dcm", "file_is_a_symlink"),
            ("h-pipe.dcm", "file_is_not_regular"),
            ("i-\\xff\\x1b[2J\\n.dcm", "file_is_not_dicom"),
            ("j-\\u202egpj.dcm", "file_is_not_dicom"),
        ]
    )
    assert (done.ending, done.accepted) == (Ending.PUBLISHED, len(good) - 1)
    assert done.files == len(good) + 10


async def test_where_nothing_is_accepted_nothing_is_published(place: World, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "note.txt").write_text("no image")
    done = await ingested(place, folder)
    assert done == Report(
        ingest=done.ingest,
        ending=Ending.NOT_PUBLISHED,
        dataset=None,
        sentence="No file was accepted, so there is nothing to publish.",
        files=1,
        accepted=0,
        refused=(
            RefusedFile(str(folder / "note.txt"), "file_is_not_dicom", "no DICM mark at byte 128"),
        ),
        untold=0,
    )


async def test_a_second_ingest_of_a_family_is_the_next_version(place: World, small: Path) -> None:
    await ingested(place, small)
    next(iter(small.rglob("*.dcm"))).unlink()
    done = await ingested(place, small)
    assert done.dataset == "lung.v2"


async def test_an_interrupted_upload_sends_only_what_is_missing(place: World, small: Path) -> None:
    files = sum(1 for _ in small.rglob("*.dcm"))
    place.cluster.refuse_after = 20
    with pytest.raises(Forbidden):
        await ingested(place, small)
    sent = sum(request.startswith("PUT") for request in place.cluster.requests)
    place.cluster.refuse_after = None
    place.cluster.requests.clear()
    done = await ingested(place, small)
    again = sum(request.startswith("PUT") for request in place.cluster.requests)
    assert done.ending is Ending.PUBLISHED
    assert files - sent <= again < files
    assert len([ref for ref in place.cluster.objects if ref.kind.kind == "DatasetIngest"]) == 1


async def test_a_folder_that_shrank_begins_a_new_ingest(place: World, small: Path) -> None:
    place.cluster.refuse_after = 25
    with pytest.raises(Forbidden):
        await ingested(place, small)
    place.cluster.refuse_after = None
    kept = sorted(small.rglob("*.dcm"))[:3]
    for path in small.rglob("*.dcm"):
        if path not in kept:
            path.unlink()
    done = await ingested(place, small)
    assert (done.ending, done.accepted) == (Ending.PUBLISHED, 3)


async def test_a_full_staging_volume_says_so_at_once(tmp_path: Path, small: Path) -> None:
    (tmp_path / "full").mkdir()
    async with world(tmp_path / "full", spare_bytes=2**60) as place:
        with pytest.raises(UploadError, match="staging_is_full: nothing is lost"):
            await ingested(place, small)


async def test_an_empty_folder_is_refused(place: World, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UploadError, match="folder_is_empty"):
        await ingested(place, tmp_path / "empty")


async def test_a_report_for_people_cannot_steer_the_terminal(place: World, small: Path) -> None:
    Path(os.fsdecode(os.fsencode(small) + b"/\x1b[31m[red]x.dcm")).write_bytes(b"no image")
    done = await ingested(place, small)
    page = io.StringIO()
    show_report(done, say=Console(file=page, width=400))
    assert "\\x1b[31m[red]x.dcm" in page.getvalue()
    assert "\x1b" not in page.getvalue()


async def test_the_upload_token_is_kept_for_its_owner_alone(place: World, small: Path) -> None:
    place.cluster.refuse_after = 5
    with pytest.raises(Forbidden):
        await ingested(place, small)
    (memory,) = (place.root / "memory").iterdir()
    assert memory.stat().st_mode & 0o777 == 0o600
    token = json.loads(memory.read_text())["token"]
    stored = json.dumps(list(place.cluster.objects.values()))
    assert token not in stored
