"""The reference page of record types."""

from carrel.ledger.types import TYPES

_HEAD = """# Records

Generated from `operator/carrel/ledger/types.py`. Every record is one JSON object of OCSF 1.8
with everything of Carrel's in the object `carrel`: `activity`, `time`, `actor` (an opaque id or
the name of a process) and, where they apply, `grant`, `grantUID`, `workspace`, `podUID`, `node`,
`detail` and `sealed`. `metadata.uid` is a UUIDv7, `metadata.sequence` the number in the process's
chain. What the classes mean and when a record is durable: [the ledger](ledger.md).

| `activity` | what happened | class | OCSF class | its activity | severity | in `detail` |
|---|---|---|---|---|---|---|
"""


def records_page() -> str:
    """Return the page as Markdown, one row a type."""
    rows = (
        f"| `{activity}` | {kind.sentence} | {kind.record_class} | {kind.ocsf_class.value} "
        f"| {kind.ocsf_activity} | {kind.severity.name.capitalize()} "
        f"| {', '.join(f'`{field}`' for field in kind.fields)} |\n"
        for activity, kind in TYPES.items()
    )
    return _HEAD + "".join(rows)
