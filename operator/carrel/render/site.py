"""What a site settles once for every bundle."""

from dataclasses import dataclass
from enum import StrEnum

from carrel.kinds.menus import ImageByDigest
from carrel.kinds.resource import Label, ObjectName
from carrel.rules import HomeProvision


class UserNamespaces(StrEnum):
    """Whether root in a workspace's pod is nobody on the node."""

    USED = "Used"
    """`hostUsers: false`: the nodes can."""
    UNAVAILABLE = "Unavailable"
    """The nodes cannot; the pod shares the node's user IDs."""


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of the workspace pool that pods bear."""

    key: str
    """Key of the taint."""
    operator: str = "Equal"
    """Equal or Exists."""
    value: str | None = None
    """Value of the taint, for Equal."""
    effect: str | None = None
    """Effect of the taint, such as NoSchedule; absent means any."""

    def to_pod(self) -> dict[str, str]:
        """Return the toleration as a pod states it."""
        stated = {
            "key": self.key,
            "operator": self.operator,
            "value": self.value,
            "effect": self.effect,
        }
        return {field: value for field, value in stated.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class FrontDoor:
    """By what a notebook server knows the gateway, the one caller that it answers."""

    authority: str
    """Certificates of the platform's authority, PEM."""
    gateway: str
    """DNS name that the gateway's certificate carries."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a site settles once for every bundle."""

    platform_namespace: Label
    """Namespace of the platform's own processes."""
    platform_image: ImageByDigest
    """Image that holds lock-gate and the ingest job."""
    store_root: str
    """Host directory of objects, views and homes."""
    homes: HomeProvision
    """Images on nodes, or claims of a StorageClass."""
    home_storage_class: ObjectName | None
    """StorageClass of homes, where homes are claims."""
    user_namespaces: UserNamespaces
    """Whether pods get user IDs of their own."""
    priority_class: ObjectName | None
    """PriorityClass of workspace pods."""
    front_door: FrontDoor | None = None
    """The one way in for browsers; None where there is none, and workspaces answer nobody."""
    node_selector: tuple[tuple[str, str], ...] = ()
    """Labels of the workspace pool, besides the one that says views are ready."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of the workspace pool."""
