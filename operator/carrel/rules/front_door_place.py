"""Which of the front door's places a `Host` names: portal, Hub, identity provider, a workspace."""

import re
from dataclasses import dataclass
from enum import StrEnum

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HUB, IDENTITY = "hub", "id"
"""Labels that no workspace has: names of workspaces begin with `ws-`."""


class PlaceKind(StrEnum):
    """What is served at an origin."""

    PORTAL = "Portal"
    HUB = "Hub"
    IDENTITY = "Identity"
    WORKSPACE = "Workspace"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One origin of the front door."""

    kind: PlaceKind
    """What is served there."""
    workspace: str = ""
    """Name of the workspace, where it is one's."""


@dataclass(frozen=True, kw_only=True)
class FrontDoor:
    """Where the front door is, as browsers see it."""

    host: str
    """Host of the portal; everything else lies one label below."""
    port: int
    """Port."""

    @property
    def _suffix(self) -> str:
        return self.host if self.port == 443 else f"{self.host}:{self.port}"

    @property
    def portal(self) -> str:
        """Origin of the portal."""
        return f"https://{self._suffix}"

    def origin(self, label: str) -> str:
        """Return the origin that lies at a label: a workspace's name, `hub` or `id`."""
        return f"https://{label}.{self._suffix}"

    def place(self, host: str) -> Place | None:
        """Return what a `Host` names, None for everything that is not ours letter by letter."""
        if host == self._suffix:
            return Place(kind=PlaceKind.PORTAL)
        label, dot, rest = host.partition(".")
        if not dot or rest != self._suffix or not _LABEL.fullmatch(label):
            return None
        match label:
            case "hub":
                return Place(kind=PlaceKind.HUB)
            case "id":
                return Place(kind=PlaceKind.IDENTITY)
            case _:
                return Place(kind=PlaceKind.WORKSPACE, workspace=label)
