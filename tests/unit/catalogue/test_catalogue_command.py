"""`carrel dataset catalogue` for a folder and for a published version."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carrel.cli.dataset import app
from carrel.flows.dataset_catalogue import CatalogueError, facts_of_dataset, read_given
from carrel.flows.demo_data import write_demo_data
from carrel.rules.catalogue import Serving
from support.fake_cluster import FakeCluster

RUN = CliRunner()
DIGEST = "sha256:" + "0" * 64
SPEC = {
    "name": "lung", "version": 2, "title": "Lung", "source": "Site A", "digest": DIGEST,
    "manifestDigest": DIGEST, "signature": "A" * 86 + "==", "modalities": ["CT"], "ingest": "i",
    "counts": {"subjects": 40, "studies": 41, "series": 42, "instances": 43, "bytes": 44},
}  # fmt: skip
PROFILE = {
    "report": DIGEST, "tree": DIGEST, "findings": 0, "flawlessSeries": 42,
    "manufacturers": ["ACME"], "sexes": ["female"], "ages": ["60-69"],
}  # fmt: skip


@pytest.mark.long
def test_a_folder_gets_a_record_and_a_list_of_what_is_missing(tmp_path: Path) -> None:
    write_demo_data(tmp_path / "sample")
    out, given = tmp_path / "record.jsonld", tmp_path / "given.yaml"
    given.write_text("description: Slices.\nkeywords: [CT]\n")
    done = RUN.invoke(
        app,
        ["catalogue", str(tmp_path / "sample"), "--given", str(given), "--out", str(out)],
    )
    assert done.exit_code == 1
    assert "record_is_not_complete" in done.stdout
    assert "dct:publisher: `publisher`" in done.stdout
    assert "dct:description" not in done.stdout
    record = json.loads(out.read_text())
    assert record["dct:description"] == {"@language": "en", "@value": "Slices."}
    assert record["dct:title"]["@value"] == "sample"


async def test_a_published_version_tells_its_facts() -> None:
    cluster = FakeCluster(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    stored = {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": "lung.v2"},
        "spec": {**SPEC, "profile": PROFILE},
    }
    await cluster.create(stored)
    facts = await facts_of_dataset("lung.v2", cluster=cluster)
    assert (facts.name, facts.version, facts.subjects, facts.ages) == ("lung", "2", 40, ("60-69",))
    assert facts.serving is Serving.NOT_READY
    with pytest.raises(CatalogueError, match="dataset_is_unknown"):
        await facts_of_dataset("lung.v3", cluster=cluster)


@pytest.mark.parametrize(
    "text", ["publisher: {name: x}", "[1, 2]", "a: *b", "- " * 5000, "surprise: 1", "\x00"]
)
def test_a_file_that_gives_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    with pytest.raises(CatalogueError, match="given_is_not_valid"):
        read_given(path)


def test_a_given_file_of_any_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(CatalogueError, match="given_is_too_large"):
        read_given(path)
