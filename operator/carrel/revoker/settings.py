"""What the revoker is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings, SettingsError

__all__ = ["Settings", "SettingsError"]


class Settings(ProcessSettings):
    """Settings of the revoker; each field is the variable `CARREL_<FIELD>`."""

    ledger_dir: Path = Path("/ledger")
    """Where the revoker keeps its chain."""
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    """Port of /metrics and /healthz."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""
