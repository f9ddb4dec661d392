"""What the mirror is told by its environment, read once."""

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from carrel.flows.settings import ProcessSettings, SettingsError
from carrel.kinds.resource import Label, Username

__all__ = ["MirrorSettings", "SettingsError", "UpstreamSettings"]

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_Host = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?$", max_length=255),
]


class UpstreamSettings(BaseModel):
    """One index that the mirror may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Label
    """Name by which policies know it, such as pypi."""
    url: Annotated[str, StringConstraints(max_length=1024)]
    """Root of its simple API; https, but for a server on this machine."""
    file_hosts: Annotated[tuple[_Host, ...], Field(max_length=16, alias="fileHosts")] = ()
    """Other hosts (with a port where it is not 443) that files may lie on."""

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            # Without TLS whoever stands between could list files of their own with good hashes.
            raise ValueError("an index is asked by https only")
        if parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname:
            raise ValueError("write scheme, host and path alone: no name, password or query")
        return url.rstrip("/") + "/"

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts with their ports that may be asked."""
        return frozenset({urlsplit(self.url).netloc, *self.file_hosts})

    def may_ask(self, url: str) -> bool:
        """Tell whether a URL lies at a host of this index, under its scheme."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        known = {place, f"{place}:{port}"} if port != 443 else {place, f"{place}:443"}
        if port not in (None, 443):
            known = {f"{place}:{port}"}
        return (
            parts.scheme == urlsplit(self.url).scheme
            and "@" not in parts.netloc
            and bool(known & self.hosts)
        )


class MirrorSettings(ProcessSettings):
    """Settings of `python -m carrel.mirror`."""

    namespace: Label = "carrel-system"
    """Namespace of the platform."""
    mirror_upstreams: Annotated[tuple[UpstreamSettings, ...], Field(min_length=1, max_length=8)]
    """Indexes, as JSON."""
    mirror_authorities: Path | None = None
    """Certificates of the authorities that an index's must come from, PEM; the public ones where
    none is given."""
    mirror_cache_dir: Path
    """Where pages and files are kept."""
    mirror_callers: Annotated[tuple[Username, ...], Field(min_length=1, max_length=4)]
    """Users that may ask, as the API server names them; as JSON."""
    mirror_refresh_seconds: Annotated[int, Field(ge=60, le=604_800)] = 21_600
    """How often every listed package's page is fetched again."""
    mirror_file_bytes: Annotated[int, Field(ge=1, le=2**40)] = 8 * 2**30
    """Largest file that is fetched, in bytes."""
    mirror_spare_bytes: Annotated[int, Field(ge=0)] = 256 * 2**20
    """Bytes of the volume that fetching may not fill."""
    tls_cert: Path
    """Certificate chain of the service, PEM; read again when it changes."""
    tls_key: Path
    """Private key of the certificate, PEM."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8443
    """Port of the service (TLS)."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics and /healthz, without TLS."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""

    @field_validator("mirror_upstreams", "mirror_callers", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"is no JSON: {error}") from error

    @field_validator("mirror_upstreams")
    @classmethod
    def _named_once(cls, value: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        names = [each.name for each in value]
        if len(set(names)) != len(names):
            raise ValueError("two indexes bear the same name")
        return value
