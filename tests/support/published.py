"""A dataset version in a node's store, as an ingest leaves it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from carrel.kinds.workspace import ViewedDataset
from carrel.node.manifest import object_path
from carrel.rules.view_path import view_path


def publish(store: Path, rows: Iterable[Mapping[str, object]], **change: object) -> ViewedDataset:
    """Publish rows with their `content` as a dataset; `change` puts into each row what is wrong."""
    lines = []
    for row in rows:
        content = row["content"]
        assert isinstance(content, bytes)
        sha256 = hashlib.sha256(content).hexdigest()
        kept = object_path(store / "datasets", sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
        path = view_path(
            subject=str(row["subject"]),
            study=str(row["study_uid"]),
            series=str(row["series_uid"]),
            instance=str(row["sop_uid"]),
        )
        wire = {key: value for key, value in row.items() if key != "content"}
        lines.append({**wire, "size": len(content), "sha256": sha256, "path": path} | change)
    text = "".join(sorted(f"{e['sha256']} {e['size']} {e['path']}\n" for e in lines))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(lines), sink)
    data = sink.getvalue().to_pybytes()
    manifest = hashlib.sha256(data).hexdigest()
    (store / "datasets" / "manifests").mkdir(parents=True, exist_ok=True)
    (store / "datasets" / "manifests" / f"{manifest}.parquet").write_bytes(data)
    return ViewedDataset(
        name="lung",
        version=1,
        digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        manifest_digest=f"sha256:{manifest}",
    )
