"""What can be asked of the index, and the page that answers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carrel.audit.row import Decision
from carrel.audit.source import Stored
from carrel.ledger.errors import LedgerError

LARGEST_PAGE = 1000


class QueryError(LedgerError):
    """A question cannot be answered as it was put."""


class QueryTimeoutError(QueryError):
    """A question took too long; a narrower one may not."""


class Order(StrEnum):
    """Which records come first."""

    NEWEST = "Newest"
    OLDEST = "Oldest"


class By(StrEnum):
    """What records are counted by."""

    PERSON = "person"
    GRANT = "granted"
    WORKSPACE = "workspace"
    HOST = "host"
    ACTIVITY = "activity"
    DECISION = "decision"

    @property
    def column(self) -> str:
        """Column of the index."""
        return "grant_" if self is By.GRANT else self.value


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which records are asked for; what is None asks for all."""

    person: str | None = None
    """Opaque id of a person."""
    grant: str | None = None
    dataset: str | None = None
    """Name of a dataset: records of every workspace that was given it."""
    hosts: tuple[str, ...] = ()
    """Addresses or blind indexes, any of which counts."""
    workspace: str | None = None
    activities: tuple[str, ...] = ()
    """Any of which counts."""
    decision: Decision | None = None
    since: datetime | None = None
    """From this moment on."""
    until: datetime | None = None
    """Before this moment."""
    order: Order = Order.NEWEST
    cursor: str | None = None
    """Where the page before ended."""
    limit: int = 50
    """Records on a page, at most 1,000."""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LARGEST_PAGE:
            raise QueryError(
                f"page_is_too_large: a page has 1 to {LARGEST_PAGE:,} records, not {self.limit:,}; "
                "follow the cursor for more."
            )
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise QueryError(f"time_has_no_zone: {moment.isoformat()}; write it with Z.")


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that was found."""

    stored: Stored
    person: str
    """Whose act, or whose workspace it was; empty where nobody's."""
    decision: Decision


@dataclass(frozen=True)
class Page:
    """An answer."""

    hits: tuple[Hit, ...]
    cursor: str | None
    """Ask with it for the next page; None when there is none."""
    unreadable: int = 0
    """Places of the log that hold no readable record: verify says which."""
    lost: tuple[str, ...] = field(default=())
    """Records that the index knows and the files no longer hold as they were."""
