"""What can go wrong with a ledger; each message says what to do next."""


class LedgerError(Exception):
    """Base of every error of the ledger."""


class LedgerBusyError(LedgerError):
    """Another process holds this chain: a chain has one writer."""


class LedgerUnavailableError(LedgerError):
    """The record is not durable, so the act that waits for it must not happen."""


class RecordTooLargeError(LedgerError):
    """The record would not fit into one leaf of the central log."""


class EvidenceError(LedgerError):
    """Something that should prove the log does not; `rule` names the check that failed."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
