"""The append-only record: one append interface over a local hash-chained, fsynced log.

A process opens its chain once and appends to it::

    with open_chain(Path("/ledger"), process="revoker", clock=SystemClock()) as chain:
        await chain.append(event, record_class=RecordClass.STOP)
"""

from carrel.ledger.chain import Chain, open_chain
from carrel.ledger.errors import (
    LedgerBusyError,
    LedgerError,
    LedgerUnavailableError,
    RecordTooLargeError,
)
from carrel.ledger.event import Activity, Event, Ledger, Receipt, RecordClass, Sealed
from carrel.ledger.sealing import Key, Keyring, SealedError
from carrel.ledger.text import plain
from carrel.ledger.verify import Fault, Gap, Report, verify

__all__ = [
    "Activity",
    "Chain",
    "Event",
    "Fault",
    "Gap",
    "Key",
    "Keyring",
    "Ledger",
    "LedgerBusyError",
    "LedgerError",
    "LedgerUnavailableError",
    "Receipt",
    "RecordClass",
    "RecordTooLargeError",
    "Report",
    "Sealed",
    "SealedError",
    "open_chain",
    "plain",
    "verify",
]
