"""The append-only record: one append interface over a local hash-chained, fsynced log."""
