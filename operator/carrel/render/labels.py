"""The labels by which everything made for a grant is found again."""

from carrel.kinds import Workspace
from carrel.rules import grant_label

GRANT = "carrel.dev/grant"
GRANT_UID = "carrel.dev/grant-uid"
WORKSPACE = "carrel.dev/workspace"
ROLE = "carrel.dev/role"
INGEST = "carrel.dev/ingest"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
HOME = "carrel.dev/home"
"""On a volume that a provisioner made: the home that it is."""
VIEWS = "carrel.dev/views"
"""On nodes, set by their agent: `ready` when it can build views."""

OURS = "carrel"


def grant_labels(*, grant_name: str, grant_uid: str, workspace: str) -> dict[str, str]:
    """Return the labels of an object that exists for one workspace of one grant."""
    return {
        MANAGED_BY: OURS,
        GRANT: grant_label(grant_name),
        GRANT_UID: grant_uid,
        WORKSPACE: workspace,
    }


def workspace_labels(workspace: Workspace) -> dict[str, str]:
    """Return the labels of an object that exists for `workspace`."""
    return grant_labels(
        grant_name=workspace.spec.grant.name,
        grant_uid=workspace.spec.grant.uid,
        workspace=workspace.metadata.name,
    )
