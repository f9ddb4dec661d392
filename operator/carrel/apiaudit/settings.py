"""What apiaudit is told by its environment, read once."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from carrel.flows.settings import ProcessSettings, SettingsError

__all__ = ["Settings", "SettingsError"]


class Settings(ProcessSettings):
    """Settings of apiaudit; each field is the variable `CARREL_<FIELD>`."""

    audit_log: Path = Path("/audit/audit.log")
    """The file that the API server writes; rotated ones stand beside it."""
    ledger_dir: Path = Path("/ledger")
    """Where apiaudit keeps its chain and how far it read."""
    namespace: str = "carrel-system"
    """Namespace of the platform."""
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    """Port of /metrics and /healthz."""
