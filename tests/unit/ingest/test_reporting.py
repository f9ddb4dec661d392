"""What an ingest says of the images that it accepted, and what proves a part of them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from carrel.dicom import Instance
from carrel.dicom.sketch import Sketch
from carrel.ingest import manifest
from carrel.ingest.collected import Row, digest_tree
from carrel.ingest.publish import write_manifest
from carrel.ingest.reporting import reported
from carrel.ingest.store import Store
from carrel.kinds import DatasetIngest
from carrel.kinds.dataset import DatasetProfile
from carrel.kinds.ingest import RuleCount
from carrel.rules.merkle import pruned, verified
from carrel.rules.view_path import view_path

INGEST = DatasetIngest.model_validate(
    {
        "metadata": {"name": "lung-1", "uid": "u"},
        "spec": {
            "name": "lung",
            "title": "Lung <b>CT</b>",
            "source": "Site A",
            "manager": "m",
            "tokenDigest": "sha256:" + "0" * 64,
            "approvals": 1,
            "upload": "Open",
        },
    }
)


def row(number: int) -> Row:
    subject = f"S{number % 12:02}"
    study, series, sop = f"1.{number % 12}", f"1.{number % 12}.1", f"1.{number % 12}.1.{number}"
    known = {
        "subject": subject, "study_uid": study, "series_uid": series, "sop_uid": sop,
        "sop_class": "1.2", "modality": "CT", "transfer_syntax": "1.2.840.10008.1.2.1",
        "instance_number": number // 12 + 1, "rows": 8, "columns": 8, "frames": 1,
    }  # fmt: skip
    drawn = Sketch(
        **known,  # type: ignore[arg-type]  # named like the fields
        manufacturer="ACME" if number % 12 < 11 else "RARE",
        age_years=61,
        sex="F",
        spacing=(0.5, 0.5),
    )
    return Row(
        instance=Instance(**known),  # type: ignore[arg-type]  # as above
        size=number + 1,
        sha256=hashlib.sha256(sop.encode()).hexdigest(),
        path=view_path(subject=subject, study=study, series=series, instance=sop),
        sketch=drawn,
    )


UNDESCRIBED = replace(row(36), sketch=None)
ROWS = tuple(sorted((row(number) for number in range(36)), key=lambda each: each.path))


def test_the_profile_names_what_many_share_and_nothing_else() -> None:
    done = reported(INGEST, ROWS, refused=[RuleCount(rule="file_is_empty", count=3)])
    assert done.profile == DatasetProfile(
        report="sha256:" + hashlib.sha256(done.json).hexdigest(),
        tree="sha256:" + digest_tree(ROWS).digest,
        findings=0,
        flawless_series=12,
        manufacturers=("ACME",),
        body_parts=(),
        sexes=("female",),
        ages=("60-69",),
    )
    told = json.loads(done.json)
    assert told["refused"] == [["file_is_empty", 3]]
    assert b"RARE" not in done.json + done.page
    assert b"Lung &lt;b&gt;CT" in done.page


def test_an_image_that_could_not_be_described_is_a_finding() -> None:
    done = reported(INGEST, (*ROWS, UNDESCRIBED), refused=[])
    assert done.profile.findings == 1


def test_the_signed_manifest_covers_report_and_tree(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    done = reported(INGEST, ROWS, refused=[])
    digest = write_manifest(ROWS, store, reported=done)
    read = pq.read_table(store.manifest(digest))
    assert read.schema.metadata == {
        b"carrel.report": done.profile.report.encode(),
        b"carrel.tree": done.profile.tree.encode(),
    }
    assert store.report(digest, "json").read_bytes() == done.json
    assert store.report(digest, "html").read_bytes() == done.page
    again = write_manifest(ROWS, store, reported=reported(INGEST, ROWS, refused=[]))
    assert again == digest


def test_what_an_image_says_of_itself_stands_in_the_manifest() -> None:
    data = manifest.encoded((ROWS[0], UNDESCRIBED), metadata={})
    first, second = pq.read_table(pa.BufferReader(data)).to_pylist()
    wanted = ("manufacturer", "sex", "age_years", "spacing", "position", "protocol")
    assert [first[name] for name in wanted] == ["ACME", "F", 61, [0.5, 0.5], None, None]
    assert [second[name] for name in wanted] == [None] * 6


def test_a_part_of_a_version_is_provable_without_naming_the_rest() -> None:
    whole = digest_tree(ROWS)
    proof = pruned(whole, keep=lambda leaf: leaf.branch[0] == "S03")
    shown = verified(proof, root=whole.digest)
    assert {leaf.path for leaf in shown} == {
        each.path for each in ROWS if each.instance.subject == "S03"
    }
    assert "S04" not in repr(proof)
