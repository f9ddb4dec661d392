"""Why the central log does not begin, or does not take a batch."""

from carrel.ledger import LedgerError


class LogDamagedError(LedgerError):
    """What is on disk is not what was signed for; the log does not begin."""
