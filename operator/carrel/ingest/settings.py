"""What the service and the job are told by their environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings, SettingsError
from carrel.kinds.resource import Label

__all__ = ["JobSettings", "ServeSettings", "SettingsError"]


class ServeSettings(ProcessSettings):
    """Settings of `python -m carrel.ingest serve`."""

    namespace: Label = "carrel-system"
    """Namespace of the platform."""
    staging_dir: Path
    """Where uploads wait for the gate."""
    ledger_dir: Path
    """Where this process keeps its chain."""
    tls_cert: Path
    """Certificate chain of the service, PEM; read again when it changes."""
    tls_key: Path
    """Private key of the certificate, PEM."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8443
    """Port of the service (TLS)."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics and /healthz, without TLS."""
    file_bytes: Annotated[int, Field(ge=1, le=2**40)] = 4 * 2**30
    """Largest file that is taken, in bytes."""
    spare_bytes: Annotated[int, Field(ge=0)] = 256 * 2**20
    """Bytes of the staging volume that uploads may not fill."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""


class JobSettings(ProcessSettings):
    """Settings of `python -m carrel.ingest job`."""

    namespace: Label = "carrel-system"
    """Namespace of the platform."""
    staging_dir: Path
    """Where uploads wait for the gate; read only."""
    store_root: Path
    """Where objects and manifests live."""
    ledger_dir: Path
    """Where this process keeps its chain."""
    signing_key: Path
    """Ed25519 private key, PKCS #8 in PEM."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read files."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""
