"""What an auditor keeps of chains: the receipt of each one's last record."""

import re
from collections.abc import Mapping

from carrel.ledger.errors import EvidenceError
from carrel.ledger.event import Receipt

_LINE = re.compile(r"(?P<sequence>[0-9]{1,18}):(?P<digest>sha256:[0-9a-f]{64}) (?P<name>.{1,1000})")


def write_receipts(heads: Mapping[str, Receipt]) -> str:
    """Return the text that `read_receipts` reads."""
    return "".join(
        f"{receipt.sequence}:{receipt.digest} {name}\n" for name, receipt in sorted(heads.items())
    )


def read_receipts(text: str) -> dict[str, Receipt]:
    """Read receipts by the chain's path.

    Raises:
        EvidenceError: when a line is no receipt.

    """
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise EvidenceError(
                "receipt_is_malformed", f"line {number} is not SEQUENCE:sha256:HEX NAME"
            )
        found[match["name"]] = Receipt(int(match["sequence"]), match["digest"])
    return found
