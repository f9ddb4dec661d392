"""What the administrator says about the site, and the names that every floor shares."""

from dataclasses import dataclass
from enum import StrEnum

FINALIZER = "carrel.dev/stop-before-release"
"""On grants and workspaces: nothing is forgotten before it has stopped."""

SCHEDULING_GATE = "carrel.dev/view"
"""On workspace pods until a node acknowledged view and home."""

START_ANNOTATION = "carrel.dev/start"
"""On a grant: `Running` lets its workspaces start as soon as they are made."""

HOME_FOLDER = "home"
"""Folder of a home's image that becomes the home: where the image is not mounted there is none."""

VIEW_DIGEST_ANNOTATION = "carrel.dev/view-digest"
"""On a workspace pod: the view that it was made for."""

CLASS_DIGEST_ANNOTATION = "carrel.dev/class-digest"
"""On a workspace pod: the workspace class that it was made from."""


class PolicyEnforcement(StrEnum):
    """Whether the cluster's network enforces NetworkPolicy."""

    ENFORCED = "Enforced"
    """The administrator says that it does."""
    NOT_ENFORCED = "NotEnforced"
    """It does not; only grants whose locks are InPod can be in force."""


DATASETS_FOLDER = "datasets"
"""Folder of a node's store with all that ingests write. One folder and one mount: hard links,
of which views are made, do not cross mounts even on one file system (link(2), EXDEV)."""


class HomeProvision(StrEnum):
    """Where homes live."""

    NODE_IMAGE = "NodeImage"
    """A size-limited image on one node, to which the workspace is bound."""
    STORAGE_CLASS = "StorageClass"
    """A claim of a StorageClass."""


@dataclass(frozen=True, kw_only=True)
class SiteFacts:
    """What the administrator says about the site."""

    user_prefix: str
    """User names of the one issuer are this prefix and the `sub`."""
    network_policy: PolicyEnforcement
    """Whether NetworkPolicy is enforced."""
    homes: HomeProvision
    """Where homes live."""
