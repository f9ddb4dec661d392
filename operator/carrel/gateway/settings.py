"""What the gateway is told by its environment, read once."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from carrel.flows.settings import ProcessSettings, SettingsError
from carrel.kinds.node_report import Address
from carrel.kinds.resource import Label
from carrel.rules.front_door_budget import DEFAULT_BYTES

__all__ = ["GatewaySettings", "SettingsError"]

_Host = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", max_length=180
    ),
]
_URL = Annotated[str, StringConstraints(pattern=r"^https://[^\s?#]+$", max_length=512)]
_Service = Annotated[str, StringConstraints(pattern=r"^(https://[-.a-z0-9]+:[0-9]{1,5})?$")]
_Port = Annotated[int, Field(ge=0, le=65_535)]


class GatewaySettings(ProcessSettings):
    """Settings of `python -m carrel.gateway`."""

    namespace: Label = "carrel-system"
    """Namespace of the platform."""
    ledger_dir: Path
    """Where this process keeps its chain."""
    state_dir: Path
    """Where sessions and spent bytes outlive a restart."""
    pod_address: Address
    """Address of this pod, which locks of workspaces admit."""
    front_door_host: _Host
    """Host of the portal; every other origin lies one label below."""
    front_door_port: Annotated[int, Field(ge=1, le=65_535)] = 443
    """Port that browsers see."""
    service_host: str = "carrel-gateway.carrel-system.svc"
    """Name by which pods reach this one; only back-channel logouts are taken under it."""
    oidc_issuer: _URL
    """Identity provider, as its tokens name it and as browsers reach it."""
    oidc_discovery_url: _URL
    """Its discovery document, at an address that this pod reaches."""
    oidc_client: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    """Client ID of the gateway."""
    oidc_secret: Path
    """File with the client's secret; read again for each login."""
    oidc_authority: Path | None = None
    """Authority of the provider's certificate, PEM; absent takes those of the system."""
    oidc_acr: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Authentication classes of which one is required; as JSON."""
    oidc_amr: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Authentication methods that are all required; as JSON."""
    session_hours: Annotated[int, Field(ge=1, le=72)] = 10
    """How long a login holds."""
    stale_seconds: Annotated[int, Field(ge=12, le=300)] = 30
    """How old the knowledge of grants may be before nothing is let through."""
    budget_bytes: Annotated[int, Field(ge=0, le=2**53 - 1)] = DEFAULT_BYTES
    """Bytes of one workspace to its person in a day of UTC."""
    upload_bytes: Annotated[int, Field(ge=0, le=2**40)] = 64 * 2**20
    """Largest body of one request to a workspace."""
    most_connections: Annotated[int, Field(ge=1, le=100_000)] = 8192
    """Connections of browsers at a time; more are closed unread."""
    hub_address: _Service = ""
    """Where the Hub listens; empty where there is none."""
    identity_address: _Service = ""
    """Where the demo's identity provider listens; empty where the site has its own."""
    tls_cert: Path
    """Certificate of the front door's hosts, PEM; read again when it changes."""
    tls_key: Path
    """Private key of that certificate, PEM."""
    own_cert: Path
    """Certificate of this pod's own name, shown to pods and to workspaces, PEM."""
    own_key: Path
    """Private key of that certificate, PEM."""
    platform_authority: Path
    """Authority of the platform's own certificates, PEM."""
    port: _Port = 8443
    """Port of the front door (TLS)."""
    workspace_port: Annotated[int, Field(ge=1, le=65_535)] = 8888
    """Port of the workspaces' servers (TLS)."""
    metrics_port: _Port = 8080
    """Port of /metrics and /healthz, without TLS."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""

    @field_validator("oidc_acr", "oidc_amr", mode="before")
    @classmethod
    def _is_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value
