"""The ground: Pydantic models of the API and nothing else.

Nothing here reads a clock, a socket, a file or a random number. Everybody may
import it; it imports no floor.
"""

from carrel.kinds.approval import Approval
from carrel.kinds.dataset import Dataset
from carrel.kinds.egress import EgressPolicy
from carrel.kinds.grant import AccessGrant
from carrel.kinds.ingest import DatasetIngest
from carrel.kinds.menus import WorkspaceClass
from carrel.kinds.node_report import NodeReport
from carrel.kinds.resource import Kind
from carrel.kinds.workspace import Workspace

__all__ = [
    "KINDS",
    "AccessGrant",
    "Approval",
    "Dataset",
    "DatasetIngest",
    "EgressPolicy",
    "NodeReport",
    "Workspace",
    "WorkspaceClass",
]

KINDS: tuple[type[Kind], ...] = (
    AccessGrant,
    Approval,
    Dataset,
    DatasetIngest,
    EgressPolicy,
    NodeReport,
    Workspace,
    WorkspaceClass,
)
"""Every kind of the API, in alphabetical order."""
