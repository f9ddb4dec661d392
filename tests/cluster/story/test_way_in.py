"""The way in: a pod in the gateway's place, the lock, the policy and the server's own ear."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import kubectl
from support import arms
from support.authority import Authority
from support.gateway_pod import (
    NAME,
    PLACE,
    GatewayPod,
    gateway_pod,
    is_let_in,
    report_of,
    wait_until_let_in,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def workspace() -> arms.Arm:
    """Return the workspace that the demo left running."""
    return arms.workspace()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the platform's own authority, whose key its administrator can read."""
    at = ("get", "secret", "carrel-ca", "-n", PLACE, "-o", "json")
    data = json.loads(kubectl(arms.instance(), *at))["data"]
    pair = base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"])
    return Authority(tmp_path_factory.mktemp("ca") / "platform", pair=pair)


def tls_of(pair: tuple[Path, Path]) -> dict[str, str]:
    """Return certificate and key as a Secret holds them."""
    return {"tls.crt": pair[0].read_text(), "tls.key": pair[1].read_text()}


@pytest.fixture(scope="module")
def gateway(platform: Authority) -> Iterator[GatewayPod]:
    """Run a pod with the gateway's account, labels and certificate."""
    tls = tls_of(platform.vouch(NAME))
    with gateway_pod(arms.instance(), "way-in", tls=tls) as made:
        yield made


def test_the_gateway_reads_a_servers_status(workspace: arms.Arm, gateway: GatewayPod):
    report = wait_until_let_in(gateway, workspace.namespace)
    assert report["status"]["podUID"] == workspace.uid
    assert report["status"]["server"]["address"] == workspace.address
    assert gateway.asks(report) == "200"


def test_without_its_certificate_it_is_refused(workspace: arms.Arm, gateway: GatewayPod):
    report = wait_until_let_in(gateway, workspace.namespace)
    assert gateway.asks(report, shown="hidden") == "refused"


def test_another_name_of_the_same_authority_is_refused(workspace: arms.Arm, platform: Authority):
    tls = tls_of(platform.vouch("carrel-ingest.carrel-system.svc"))
    with gateway_pod(workspace.instance, "way-in-other", tls=tls) as other:
        assert other.asks(wait_until_let_in(other, workspace.namespace)) == "refused"


def test_a_server_that_shows_another_certificate_is_not_taken_for_it(
    workspace: arms.Arm, gateway: GatewayPod, tmp_path: Path
):
    report = wait_until_let_in(gateway, workspace.namespace)
    foreign, _ = Authority(tmp_path / "foreign").vouch(report["spec"]["workspace"])
    report["status"]["server"]["certificate"] = foreign.read_text()
    assert gateway.asks(report) == "another certificate"


def test_a_pod_that_only_wears_the_gateways_labels_finds_no_way_in(
    workspace: arms.Arm, gateway: GatewayPod, platform: Authority
):
    report = wait_until_let_in(gateway, workspace.namespace)
    tls = tls_of(platform.vouch(NAME))
    with gateway_pod(workspace.instance, "way-in-dressed", tls=tls, account="default") as dressed:
        assert dressed.asks(report) == "no way in"
        assert gateway.asks(report) == "200"
        assert not is_let_in(workspace.instance, workspace.namespace, dressed.address)


def test_an_address_goes_with_its_pod(workspace: arms.Arm, platform: Authority):
    tls = tls_of(platform.vouch(NAME))
    with gateway_pod(workspace.instance, "way-in-brief", tls=tls) as brief:
        wait_until_let_in(brief, workspace.namespace)
    arms.until(
        lambda: not is_let_in(workspace.instance, workspace.namespace, brief.address), seconds=30
    )


def test_no_secret_of_a_server_is_in_the_cluster(workspace: arms.Arm):
    report = report_of(workspace.instance, workspace.namespace)
    seen = kubectl(workspace.instance, "get", "pod,secret,configmap", "-A", "-o", "json")
    pod = kubectl(
        workspace.instance, "get", "pod", "-n", workspace.namespace, workspace.pod, "-o", "json"
    )
    assert "PRIVATE KEY" not in json.dumps(report) + pod
    assert report["status"]["server"]["certificate"] not in seen
