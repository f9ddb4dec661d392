"""What the forwarder is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings


class Settings(ProcessSettings):
    """Settings of `python -m carrel.forwarder`."""

    ledger_dir: Path
    """Folder with a folder for each chain; only read."""
    ledger_address: str
    """Address of the central log, such as https://carrel-ledger.carrel-system.svc:8443."""
    ledger_token: Path
    """Token of this pod for the audience carrel-ledger; read again for each request."""
    ledger_authority: Path | None = None
    """Authority of the log's certificate, PEM; read again for each request."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    """Port of /metrics and /healthz."""
