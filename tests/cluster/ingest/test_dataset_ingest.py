"""The command of a data manager against the platform on the embedded cluster."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import EmbeddedError, find_instance, kubectl, run_inside
from carrel.embedded.instance import Person
from carrel.flows.demo_data import write_demo_data

pytestmark = pytest.mark.cluster
INSTANCE = os.environ.get("CARREL_INSTANCE", "carrel")


@pytest.fixture
def family() -> Iterator[str]:
    """Name a family of datasets of this test, and remove it afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    for kind in ("datasets.carrel.dev", "datasetingests.carrel.dev"):
        found = kubectl(find_instance(INSTANCE), "get", kind, "-o", "name").split()
        mine = [each for each in found if f"/{name}" in each]
        if mine:
            kubectl(find_instance(INSTANCE), "delete", *mine)


def carrel(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kubeconfig = find_instance(INSTANCE).kubeconfig(Person.DATA_MANAGER)
    return subprocess.run(
        [sys.executable, "-m", "carrel.cli", "dataset", *arguments],
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_a_folder_becomes_a_ready_dataset_and_staging_is_emptied(
    tmp_path: Path, family: str
) -> None:
    made = write_demo_data(tmp_path / "sample")
    (tmp_path / "sample" / "note.txt").write_text("no image")
    done = carrel(
        tmp_path,
        *("ingest", str(tmp_path / "sample"), "--name", family, "--title", "A test"),
        *("--source", "samples", "--approvals", "1", "--json"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["dataset"], report["accepted"], report["files"]) == (
        f"{family}.v1",
        made.files,
        made.files + 1,
    )
    assert [(Path(each["file"]).name, each["rule"]) for each in report["refused"]] == [
        ("note.txt", "file_is_not_dicom")
    ]
    kubectl(
        find_instance(INSTANCE),
        *("wait", f"datasets.carrel.dev/{family}.v1", "--for=condition=Ready", "--timeout=30s"),
    )
    stored = json.loads(
        kubectl(find_instance(INSTANCE), "get", f"datasetingest/{report['ingest']}", "-o", "json")
    )
    kept = run_inside(
        find_instance(INSTANCE),
        ["find", "/var/lib/carrel/datasets/ingests/" + stored["metadata"]["uid"], "-type", "f"],
    )
    assert kept.stdout.split() == [
        f"/var/lib/carrel/datasets/ingests/{stored['metadata']['uid']}/report.jsonl"
    ]


def test_a_person_without_the_role_can_not_begin_an_ingest(tmp_path: Path, family: str) -> None:
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "x.dcm").write_text("x")
    kubeconfig = find_instance(INSTANCE).kubeconfig(Person.RESEARCHER)
    done = carrel(
        tmp_path,
        *("ingest", str(tmp_path / "sample"), "--name", family, "--title", "A test"),
        *("--source", "samples", "--approvals", "1", "--kubeconfig", str(kubeconfig)),
    )
    assert done.returncode == 2
    assert "forbidden" in done.stderr


def test_nobody_but_the_ingest_creates_a_dataset(family: str) -> None:
    dataset = {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": f"{family}.v1"},
        "spec": {
            "name": family,
            "version": 1,
            "title": "By hand",
            "source": "nobody",
            "digest": "sha256:" + "0" * 64,
            "manifestDigest": "sha256:" + "0" * 64,
            "signature": "A" * 86 + "==",
            "counts": dict.fromkeys(("subjects", "studies", "series", "instances", "bytes"), 1),
            "ingest": "by-hand",
        },
    }
    with pytest.raises(EmbeddedError, match="dataset-publisher"):
        kubectl(find_instance(INSTANCE), "create", "-f", "-", text=json.dumps(dataset))
