"""What a witness is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings


class Settings(ProcessSettings):
    """Settings of `python -m carrel.witness`."""

    name: str
    """Name of its key, such as witness.example/w1."""
    key: Path
    """Ed25519 private key, PKCS #8 in PEM; of this witness alone."""
    logs: Path
    """File with the keys of the logs that it knows, `<name>+<ID>+<key>`, one a line."""
    state_dir: Path
    """Where it keeps what it signed last; losing it lets a log be rolled back."""
    address: str = "0.0.0.0"  # noqa: S104 - a pod has one address, and policies close it
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8444
    """Port of the service, plain HTTP: what it takes and gives is signed."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics and /healthz."""
