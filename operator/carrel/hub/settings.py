"""What the Hub is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

import certifi
from pydantic import Field, StringConstraints

from carrel.flows.settings import ProcessSettings, SettingsError

__all__ = ["HubSettings", "SettingsError"]

Origin = Annotated[str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?$")]


class HubSettings(ProcessSettings):
    """Settings of `python -m carrel.hub`; each field is the variable `CARREL_<FIELD>`."""

    hub_origin: Origin
    """Origin at which browsers see the Hub."""
    portal_origin: Origin
    """Origin of the portal, where a person goes after logout."""
    oidc_issuer: Annotated[str, StringConstraints(pattern=r"^https://[^?#@]+$", max_length=1024)]
    """The one issuer, as tokens name it."""
    oidc_discovery_url: Annotated[
        str, StringConstraints(pattern=r"^https://[^?#@]+$", max_length=1024)
    ]
    """Its discovery document, at the address that this process can reach."""
    oidc_client_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] = "carrel-hub"
    """Our name there."""
    oidc_client_secret_file: Path
    """File with our secret there."""
    oidc_ca_file: Path | None = None
    """Authorities that the provider's certificate is held against; absent means the public ones."""

    refresh_seconds: Annotated[int, Field(ge=5, le=300)] = 30
    """How old a login may be before the provider is asked again."""
    state_dir: Path
    """Where the Hub keeps its database and keys."""
    tls_cert: Path
    """Certificate chain of the service, PEM; read again when it changes."""
    tls_key: Path
    """Private key of the certificate, PEM."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """Port of the service (TLS)."""
    hub_loopback_port: Annotated[int, Field(ge=1, le=65_535)] = 8082
    """Port on loopback that JupyterHub insists on."""
    readiness_port: Annotated[int, Field(ge=1, le=65_535)] = 8083
    """Port on loopback at which workspaces say whether they are ready; the database keeps it."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics and /healthz, without TLS."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""

    @property
    def authorities(self) -> Path:
        """File of the authorities that are believed; a platform image brings none of a system."""
        return self.oidc_ca_file or Path(certifi.where())
