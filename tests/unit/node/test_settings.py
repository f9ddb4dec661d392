"""Settings of the agent: read once, wrong ones named together."""

from pathlib import Path

import pytest

from carrel.node.settings import Settings, SettingsError, name_servers


def test_a_container_of_the_chart_is_understood() -> None:
    settings = Settings.from_environment(
        {
            "CARREL_NODE_NAME": "node-1",
            "CARREL_NODE_ADDRESSES": "10.0.0.1,fd00::1",
            "CARREL_LEDGER_DIR": "/ledger",
            "CARREL_PLATFORM_IMAGE": "of another process",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
    )
    assert settings == Settings(
        node_name="node-1",
        node_addresses=("10.0.0.1", "fd00::1"),
        ledger_dir=Path("/ledger"),
        api_server="10.96.0.1:443",
    )
    assert settings.api_endpoint() == ("10.96.0.1", 443)


def test_every_wrong_setting_is_named() -> None:
    with pytest.raises(SettingsError, match=r"CARREL_NODE_NAME.*CARREL_METRICS_PORT"):
        Settings.from_environment({"CARREL_METRICS_PORT": "none"})


def test_an_ipv6_api_server_is_understood() -> None:
    settings = Settings(node_name="n", api_server="[fd00::1]:6443")
    assert settings.api_endpoint() == ("fd00::1", 6443)


def test_an_unknown_api_server_is_refused() -> None:
    with pytest.raises(SettingsError, match="api_server_is_unknown"):
        Settings(node_name="n").api_endpoint()


def test_name_servers_are_those_of_the_cluster(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("search a b\nnameserver 10.96.0.10\nnameserver 127.0.0.53\noptions ndots:5\n")
    assert name_servers(file) == ("10.96.0.10",)
    assert name_servers(tmp_path / "none") == ()
