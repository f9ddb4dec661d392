"""What the operator is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, Json

from carrel.flows.settings import ProcessSettings, SettingsError
from carrel.kinds.menus import ImageByDigest
from carrel.kinds.resource import Label, ObjectName
from carrel.render.site import FrontDoor, Site, Toleration, UserNamespaces
from carrel.rules import HomeProvision, PolicyEnforcement, SiteFacts

__all__ = ["Settings", "SettingsError"]


class Settings(ProcessSettings):
    """Settings of the operator; each field is the variable `CARREL_<FIELD>`."""

    namespace: Label
    """Namespace of the platform."""
    platform_image: ImageByDigest
    """Image that holds lock-gate and the ingest job."""
    user_prefix: Annotated[str, Field(min_length=1, max_length=64)]
    """User names of the one issuer are this prefix and the `sub`."""
    network_policy: PolicyEnforcement
    """Whether the cluster's network enforces NetworkPolicy."""
    homes: HomeProvision
    """Where homes live."""
    home_storage_class: ObjectName | None = None
    """StorageClass of homes, where homes are claims; the cluster's default unless stated."""
    user_namespaces: UserNamespaces
    """Whether workspace pods get user IDs of their own."""
    workspace_tolerations: Json[tuple[Toleration, ...]] = ()
    """Taints of the workspace pool, as a JSON list."""
    workspace_node_selector: Json[dict[str, str]] = Field(default_factory=dict)
    """Labels of the workspace pool, as a JSON object."""
    priority_class: ObjectName | None = "carrel-workspace"
    """PriorityClass of workspace pods."""
    front_door_gateway: str | None = None
    """DNS name in the gateway's certificate; none at a site without a front door."""
    front_door_authority: Path = Path("/run/front-door/ca.crt")
    """Certificates of the platform's authority, PEM; read at the start."""
    store_root: Path = Path("/var/lib/carrel")
    """Host directory of objects, views and homes."""
    ledger_dir: Path = Path("/ledger")
    """Where the operator keeps its chain."""
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    """Port of /metrics and /healthz."""
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """How many objects are worked on at a time."""
    audit_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How often each watch is held against a full list."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""

    @property
    def facts(self) -> SiteFacts:
        """What decisions know of the site."""
        return SiteFacts(
            user_prefix=self.user_prefix, network_policy=self.network_policy, homes=self.homes
        )

    @property
    def site(self) -> Site:
        """What bundles know of the site."""
        return Site(
            platform_namespace=self.namespace,
            platform_image=self.platform_image,
            store_root=str(self.store_root),
            homes=self.homes,
            home_storage_class=self.home_storage_class,
            user_namespaces=self.user_namespaces,
            priority_class=self.priority_class,
            node_selector=tuple(sorted(self.workspace_node_selector.items())),
            tolerations=self.workspace_tolerations,
            front_door=self._front_door(),
        )

    def _front_door(self) -> FrontDoor | None:
        if not self.front_door_gateway:
            return None
        try:
            authority = self.front_door_authority.read_text()
        except OSError as error:
            raise SettingsError(
                f"CARREL_FRONT_DOOR_AUTHORITY: {self.front_door_authority} cannot be read "
                f"({error.strerror}); it is the ConfigMap with the platform's authority"
            ) from error
        return FrontDoor(authority=authority, gateway=self.front_door_gateway)
