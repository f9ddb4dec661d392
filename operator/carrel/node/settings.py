"""What a container of the agent is told by its environment, read once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from carrel.kinds.resource import Label, ObjectName
from carrel.rules.facts import HomeProvision

__all__ = ["HomeProvision", "Settings", "SettingsError", "name_servers"]


class SettingsError(Exception):
    """The environment lacks or garbles a setting; the message names each."""


class Settings(BaseModel):
    """Settings of the node agent; each field is the variable `CARREL_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    node_name: ObjectName
    """Name of the Node object that this agent speaks for."""
    namespace: Label = "carrel-system"
    """Namespace of the platform."""
    store_root: Path = Path("/var/lib/carrel")
    """Where objects, manifests, views, homes and ledgers live."""
    ledger_dir: Path = Path("/var/lib/carrel/ledger")
    """Where this process keeps its chain."""
    kubelet_root: Path = Path("/var/lib/kubelet")
    """The kubelet's root directory, as seen by this container."""
    cgroup_root: Path = Path("/sys/fs/cgroup")
    """The host's cgroup file systems, as seen by this container."""
    node_addresses: tuple[str, ...] = ()
    """Addresses of the node that a workspace must not reach, separated by commas."""
    api_server: str = ""
    """Address and port of the API server that a workspace must not reach; the one that
    Kubernetes names in every pod unless stated."""
    homes: HomeProvision = HomeProvision.NODE_IMAGE
    """Where homes live; with a StorageClass the homes process has nothing to do."""
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    """Port of /metrics and /healthz; each container of the pod needs its own."""
    keys_dir: Path = Path("/var/lib/carrel/keys")
    """Where the keys of sealed names lie, one for each grant."""
    recorder_user: Annotated[int, Field(ge=0, le=2**31)] = 0
    """User that the recorder runs as: its folders are made its own."""
    run_dir: Path = Path("/run/carrel")
    """Where the agent's containers meet: the holder's socket, and what they tell each other."""
    relay_dir: Path = Path("/var/lib/carrel/relay")
    """Where the relay keeps what grants have had from the mirror today."""
    mirror_url: str = ""
    """Base URL of the site's package mirror; empty where the site runs none."""
    mirror_name: str = ""
    """Name that the mirror's certificate must bear, where its URL has an address."""
    mirror_ca: Path | None = None
    """Certificates of the authority that the mirror's certificate must come from."""
    mirror_token: Path | None = None
    """ServiceAccount token for the mirror, renewed in place by the kubelet."""
    kubeconfig: Path | None = None
    """Kubeconfig for a run outside of a pod."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; variables of other processes are left alone.

        Raises SettingsError with every variable that is missing or wrong.
        """
        values: dict[str, str | list[str]] = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := f"CARREL_{name.upper()}") in environment
        }
        addresses = environment.get("CARREL_NODE_ADDRESSES", "")
        values["node_addresses"] = [each.strip() for each in addresses.split(",") if each.strip()]
        host, port = (
            environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT")
        )
        if host and port:
            values.setdefault("api_server", f"{host}:{port}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(
                f"CARREL_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()
            )
            raise SettingsError(f"settings_are_wrong: {wrong}") from error

    @field_validator("mirror_url")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        if "$(" in value:
            # The kubelet leaves a variable as it stands when it has not heard of the Service yet;
            # whoever begins anew finds it.
            raise ValueError(f"{value} names a Service that this node does not know yet")
        scheme, _, place = value.partition("://")
        host, _, port = place.rpartition(":")
        # An address of a Service comes as it is, and IPv6 needs brackets (RFC 3986).
        bare = ":" in host and not host.startswith("[")
        return f"{scheme}://[{host}]:{port}" if bare else value

    def api_endpoint(self) -> tuple[str, int]:
        """Return address and port of the API server. Raises SettingsError if there is none."""
        host, _, port = self.api_server.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingsError(
                f"api_server_is_unknown: CARREL_API_SERVER is {self.api_server!r}; "
                "write ADDRESS:PORT"
            )
        return host.strip("[]"), int(port)


def name_servers(resolv_conf: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Return the cluster's name servers, as this pod was given them, loopback left out."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    found = (each[1] for each in words if len(each) == 2 and each[0] == "nameserver")
    return tuple(address for address in found if not address.startswith(("127.", "::1")))
