"""The manifest of a dataset version: one Parquet row per instance, sorted by path."""

import hashlib
import io
from collections.abc import Sequence

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
    ]
)
"""Columns of the manifest; `sha256` in hexadecimal, `path` below the dataset's folder."""


def encoded(rows: Sequence[Row]) -> bytes:
    """Write the manifest."""
    columns = {name: [_value(row, name) for row in rows] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return sink.getvalue()


def digest(data: bytes) -> str:
    """Return the SHA-256 of a manifest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _value(row: Row, name: str) -> object:
    if name in ("size", "sha256", "path"):
        return getattr(row, name)
    return getattr(row.instance, name)
