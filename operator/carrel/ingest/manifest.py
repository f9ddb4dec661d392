"""The manifest of a dataset version: one Parquet row per instance, sorted by path."""

import hashlib
import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from carrel.ingest.collected import Row

SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("study_uid", pa.string(), nullable=False),
        pa.field("series_uid", pa.string(), nullable=False),
        pa.field("sop_uid", pa.string(), nullable=False),
        pa.field("sop_class", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("instance_number", pa.int32()),
        pa.field("rows", pa.int32()),
        pa.field("columns", pa.int32()),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("transfer_syntax", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("manufacturer", pa.string()),
        pa.field("body_part", pa.string()),
        pa.field("sex", pa.string()),
        pa.field("age_years", pa.int32()),
        pa.field("protocol", pa.string()),
        pa.field("position", pa.list_(pa.float64())),
        pa.field("orientation", pa.list_(pa.float64())),
        pa.field("spacing", pa.list_(pa.float64())),
        pa.field("thickness", pa.float64()),
    ]
)
"""Columns of the manifest; `sha256` in hexadecimal, `path` below the dataset's folder, lengths in
millimetres. What an image does not say is null."""
TREE, REPORT = "carrel.tree", "carrel.report"
"""Metadata of the Parquet file: root of the tree of digests, SHA-256 of the JSON report."""
_OF_FILE = frozenset({"size", "sha256", "path"})
_OF_SKETCH = frozenset(
    {"manufacturer", "body_part", "sex", "age_years", "protocol", "position", "orientation",
     "spacing", "thickness"}
)  # fmt: skip


def encoded(rows: Sequence[Row], *, metadata: Mapping[str, str]) -> bytes:
    """Write the manifest; the same rows and metadata give the same bytes."""
    columns = {name: [_value(row, name) for row in rows] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA.with_metadata(dict(metadata)))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue()


def digest(data: bytes) -> str:
    """Return the SHA-256 of a manifest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _value(row: Row, name: str) -> object:
    if name in _OF_FILE:
        return getattr(row, name)
    if name in _OF_SKETCH:
        value = getattr(row.sketch, name, None)
        return None if value in ("", ()) else value
    return getattr(row.instance, name)
