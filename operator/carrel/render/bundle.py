"""Everything that exists for one workspace, computed whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carrel.kinds import Workspace, WorkspaceClass
from carrel.render.labels import workspace_labels
from carrel.render.namespace import (
    limit_range,
    namespace,
    network_policies,
    resource_quota,
    service_account,
)
from carrel.render.pod import pod
from carrel.render.site import Site
from carrel.render.volumes import home_claim, home_volume, view_claim, view_volume

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Everything that exists for one workspace; the fields stand in the order of making."""

    namespace: Object
    """Namespace, under Pod Security `restricted`."""
    network_policies: tuple[Object, ...]
    """Deny-all, both ways; and the gateway's way in where there is one."""
    resource_quota: Object
    """One pod of the class's size."""
    limit_range: Object
    """Bounds of a container."""
    service_account: Object
    """An identity without rights or token."""
    view_volume: Object
    """The dataset view as a volume."""
    view_claim: Object
    """Its claim."""
    home_volume: Object | None
    """The home as a volume; None where a StorageClass makes it."""
    home_claim: Object
    """Its claim."""
    pod: Object
    """The pod, with its scheduling gate."""

    def surroundings(self) -> Iterator[Object]:
        """Yield everything but namespace and pod in the order of making: the lock comes first."""
        yield from self.network_policies
        yield self.resource_quota
        yield self.limit_range
        yield self.service_account
        yield from self.view()
        yield from self.home()

    def view(self) -> Iterator[Object]:
        """Yield volume and claim of the view."""
        yield self.view_volume
        yield self.view_claim

    def home(self) -> Iterator[Object]:
        """Yield volume and claim of the home."""
        if self.home_volume is not None:
            yield self.home_volume
        yield self.home_claim


def bundle(workspace: Workspace, shape: WorkspaceClass, site: Site) -> Bundle:
    """Compute everything that exists for `workspace`, which is of class `shape`."""
    return Bundle(
        namespace=namespace(workspace.metadata.name, labels=workspace_labels(workspace)),
        network_policies=network_policies(workspace, site),
        resource_quota=resource_quota(workspace, shape),
        limit_range=limit_range(workspace, shape),
        service_account=service_account(workspace),
        view_volume=view_volume(workspace, site),
        view_claim=view_claim(workspace),
        home_volume=home_volume(workspace, site),
        home_claim=home_claim(workspace, site),
        pod=pod(workspace, shape, site),
    )
