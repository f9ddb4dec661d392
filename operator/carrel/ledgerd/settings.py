"""What the central log is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings
from carrel.kinds.resource import Label
from carrel.ledgerd.cosigning import Place


class Settings(ProcessSettings):
    """Settings of `python -m carrel.ledgerd`."""

    namespace: Label = "carrel-system"
    """Namespace of the platform; only its ServiceAccounts may append."""
    log_dir: Path
    """Where the log is kept: journal, tiles and checkpoint."""
    ledger_dir: Path
    """Where this process keeps its own chain, which it forwards to itself."""
    log_key: Path
    """Ed25519 private key of the log, PKCS #8 in PEM."""
    log_origin: str
    """Name of the log in its checkpoints, such as carrel.example/ledger."""
    tls_cert: Path
    """Certificate chain of the service, PEM; read again when it changes."""
    tls_key: Path
    """Private key of the certificate, PEM."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8443
    """Port of the service (TLS)."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics and /healthz, without TLS."""
    witness_address: str = ""
    """Address of the witness, empty where there is none."""
    witness_key: str = ""
    """Public key of the witness, `<name>+<ID>+<key>`."""
    witness_place: Place = Place.SAME_CLUSTER
    """Where the witness runs."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""
