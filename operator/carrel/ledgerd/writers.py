"""Who may write what: a process records its own acts and nobody else's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from carrel.ledger import Activity, LedgerError
from carrel.ledger.record import Record


class RefusedError(LedgerError):
    """A batch is refused and nothing of it was taken; `status` is the HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, as the API server says."""

    account: str
    """Name of the ServiceAccount in the platform's namespace."""
    node: str
    """Node of the pod that the token is bound to; empty where it is bound to none."""


@dataclass(frozen=True, slots=True)
class Writer:
    """What the processes of one ServiceAccount may record."""

    chains: re.Pattern[str]
    """Names of their chains."""
    activities: frozenset[Activity]
    of_a_node: bool = False
    """Whether its word is about the node that its token is bound to."""


_OWN = frozenset({Activity.CHAIN_OPENED, Activity.CHAIN_CLOSED, Activity.HEARTBEAT, Activity.GAP})


def _writer(chains: str, *prefixes: str, of_a_node: bool = False) -> Writer:
    activities = frozenset(each for each in Activity if each.name.startswith(prefixes))
    return Writer(re.compile(chains), _OWN | activities, of_a_node)


_INGEST = ("INGEST_", "FILE_", "DATASET_", "STAGING_")

WRITERS: Mapping[str, tuple[Writer, ...]] = {
    "carrel-operator": (
        _writer("operator", "APPROVAL_", "GRANT_", "WORKSPACE_", "POD_DELETED", "VOLUME_"),
    ),
    "carrel-revoker": (_writer("revoker", "POD_DELETED"),),
    "carrel-ingest": (_writer("ingest", *_INGEST),),
    "carrel-node": (
        _writer(
            "node(-[a-z]+)?|lock|views|homes|holder|relay|recorder",
            *("VIEW_", "HOME_", "LOCK_", "GATE_", "TRAFFIC_", "CGROUP_", "RECORDER_", "COUNTS_"),
            "WORKSPACE_FROZEN",
            of_a_node=True,
        ),
        # The job of an ingest ends with its last record and leaves its chain in the node's store.
        _writer("ingest-[0-9a-f]{12}", *_INGEST, of_a_node=True),
    ),
    "carrel-gateway": (_writer("gateway", "LOGIN_", "DOOR_"),),
    "carrel-apiaudit": (_writer("apiaudit", "ADMINISTRATOR_", "POD_ENTERED", "AUDIT_LOG_"),),
    "carrel-ledger": (_writer("ledgerd", "RECORDS_READ", "SEALED_READ", "KEY_DELETED"),),
}
"""By ServiceAccount."""


def admitted(identity: Identity, *, chain: str) -> Writer:
    """Return what `identity` may write into the chain of the process `chain`.

    Raises:
        RefusedError: when it is no writer, or the chain is another's.

    """
    writers = WRITERS.get(identity.account, ())
    if not writers:
        raise RefusedError(
            403, f"account_is_no_writer: {identity.account} may not append; see reference/ledger."
        )
    writer = next((each for each in writers if each.chains.fullmatch(chain)), None)
    if writer is None:
        raise RefusedError(
            403, f"chain_is_anothers: {identity.account} may not write the chain {chain[:64]!r}."
        )
    if writer.of_a_node and not identity.node:
        raise RefusedError(
            403,
            f"token_names_no_node: a token of {identity.account} must be bound to a pod, so that "
            "its word counts only for that pod's node.",
        )
    return writer


def check(record: Record, writer: Writer, identity: Identity, *, pod_node: str | None) -> None:
    """Check that a record is the writer's own to make.

    Args:
        record: What it wants to append.
        writer: What it may write.
        identity: Who it is.
        pod_node: Node of the pod that the record is about; None where there is no such pod
            any more, or the record names none.

    Raises:
        RefusedError: when it is not.

    """
    activity = record.said.get("activity")
    sequence = record.receipt.sequence
    if activity not in writer.activities:
        raise RefusedError(
            403,
            f"activity_is_anothers: record {sequence} says {activity!r}, which {identity.account} "
            "may not record.",
        )
    if writer.of_a_node and pod_node not in {None, identity.node}:
        raise RefusedError(
            403,
            f"pod_is_on_another_node: record {sequence} is about a pod on {pod_node}, and its "
            f"writer is on {identity.node}.",
        )
