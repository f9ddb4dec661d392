"""What the service and the job are told by their environment, read once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from carrel.kinds.resource import Label


class SettingsError(Exception):
    """The environment lacks or garbles a setting; the message names each."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `CARREL_<FIELD>` for each field; variables of other processes are left alone.

        Raises SettingsError with every variable that is missing or wrong.
        """
        values = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := f"CARREL_{name.upper()}") in environment
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(
                f"CARREL_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()
            )
            raise SettingsError(f"settings_are_wrong: {wrong}") from error


class ServeSettings(_Settings):
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


class JobSettings(_Settings):
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
