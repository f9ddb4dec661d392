"""What a researcher meets on the way out: a refusal at once, its reason, and what is open."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from carrel.cli.demo import desk
from carrel.cli.release import NAMESPACE_NAME
from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.errors import ClusterError
from carrel.embedded import Instance, Person, kubectl
from carrel.kinds import EgressPolicy, Workspace
from support.arms import Arm, until
from support.arms import workspace as running
from support.outside_index import ADDRESS, LISTED, UNLISTED, outside_index

from . import grants

pytestmark = pytest.mark.cluster

CHART = Path(__file__).parents[3] / "charts/carrel"
POLICY = f"story-{os.getpid()}"
AUTHORITIES = "story-authorities"

CONNECT = f"""
import socket
try:
    socket.create_connection(("{ADDRESS}", 80), 20)
except OSError as error:
    print(type(error).__name__)
"""
LOOK_UP = """
import socket
question = bytes([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
question += b"\\x08outsider\\x07example\\0\\0\\x01\\0\\x01"
question += bytes([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
    channel.settimeout(20)
    channel.connect(("127.0.0.1", 53))
    channel.send(question)
    answer = channel.recv(4096)
option = answer[len(question):]
print(answer[3] & 15, int.from_bytes(option[0:2]), int.from_bytes(option[4:6]), option[6:].decode())
"""
ANSWERED = """
import carrel
try:
    print("desk answered", carrel.me().me.grant)
except carrel.DeskAwayError as error:
    print(error)
"""
SETTINGS = """
print([line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")])
"""


@pytest.fixture(scope="module")
def workspace() -> Arm:
    """Return the workspace of the demo, whose policy opens nothing."""
    return running()


def why(arm: Arm) -> list[dict[str, Any]]:
    """Return what `carrel why` lists."""
    listed: list[dict[str, Any]] = json.loads(arm.run("carrel", "why", "--json"))["refusals"]
    return listed


def test_a_connection_is_refused_at_once_and_explained(workspace: Arm):
    """Whoever connects gets an error instead of a wait, and then the rule and what to do."""
    assert workspace.python(CONNECT) == "ConnectionRefusedError"

    def found() -> list[dict[str, Any]]:
        return [each for each in why(workspace) if (each["address"], each["port"]) == (ADDRESS, 80)]

    until(lambda: bool(found()), seconds=30)
    (told,) = found()
    assert (told["layer"], told["protocol"], told["rule"]) == (
        *("network", "tcp"),
        "egress.nothing_allowed",
    )
    assert f"tcp {ADDRESS}:80 is outside the workspace" in told["sentence"]
    assert "ask the grant administrator" in told["todo"]


def test_a_name_does_not_exist_and_the_answer_says_why(workspace: Arm):
    """NXDOMAIN with Extended DNS Error 15, from the resolver that the pod's settings name."""
    assert workspace.python(SETTINGS) == "['127.0.0.1']"
    assert workspace.python(LOOK_UP) == "3 15 15 egress.name_never_forwarded"

    def found() -> list[dict[str, Any]]:
        return [each for each in why(workspace) if each["name"] == "outsider.example"]

    until(lambda: bool(found()), seconds=30)
    (told,) = found()
    assert (told["layer"], told["rule"]) == ("dns", "egress.name_never_forwarded")


async def test_a_workspace_knows_its_grant_and_when_it_ends(admin: Cluster, workspace: Arm):
    """`carrel me` says what the grant says."""
    told = json.loads(workspace.run("carrel", "me", "--json"))
    grant = await admin.get(Ref(grants.GRANTS, told["grant"])) or {}
    assert told["expires"].replace(".000Z", "Z") == grant["spec"]["expires"]
    assert told["researcher"] in {each["subject"] for each in grant["spec"]["researchers"]}


@pytest.fixture(scope="module")
def index(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve an index outside and turn the site's mirror on before it; off again at the end."""
    folder = tmp_path_factory.mktemp("index")
    with outside_index(instance, folder) as asked:
        authority = (folder / "tls.crt").read_text()
        _configure(instance, authority)
        try:
            _upgrade(instance, mirror=_mirror())
            yield asked
        finally:
            _upgrade(instance, mirror={"service": "Absent", "upstreams": [], "authorities": ""})


def _mirror() -> dict[str, Any]:
    return {
        "service": "Offered",
        "upstreams": [{"name": "pypi", "url": f"https://{ADDRESS}/simple/"}],
        "authorities": AUTHORITIES,
        "reach": {"cidrs": [f"{ADDRESS}/32"], "port": 443},
        "cacheSize": "64Mi",
    }


def _configure(instance: Instance, authority: str) -> None:
    """Give the mirror the authority that the index's certificate comes from."""
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AUTHORITIES, "namespace": NAMESPACE_NAME},
        "data": {"ca.crt": authority},
    }
    kubectl(instance, "apply", "-f", "-", text=json.dumps(bundle))


def _upgrade(instance: Instance, *, mirror: dict[str, Any]) -> None:
    done = subprocess.run(
        [
            *(str(instance.programs / "helm"), "upgrade", "carrel", str(CHART)),
            *(f"--kubeconfig={instance.kubeconfig(Person.ADMIN)}", f"-n={NAMESPACE_NAME}"),
            *("--reuse-values", "--wait", "--timeout=5m"),
            *("--set-json", f"mirror={json.dumps(mirror)}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest_asyncio.fixture
async def opened(admin: Cluster, grant_admin: Cluster, approver: Cluster) -> AsyncIterator[Arm]:
    """Run a workspace whose policy lists one package."""
    policy = {
        "apiVersion": "carrel.dev/v1alpha1",
        "kind": "EgressPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "title": "One package of the story",
            "allow": "Listed",
            "packages": [{"index": "pypi", "projects": [LISTED]}],
        },
    }
    await admin.create(policy)

    def opens(spec: dict[str, Any]) -> None:
        spec["egressPolicy"] = POLICY

    manifest = await grants.sound(admin, name=POLICY, researcher="an installer", spoil=opens)
    await grant_admin.create(manifest)
    try:
        await grants.approved(approver, name=POLICY)
        found = await grants.until(
            admin, POLICY, grants.stands("InForce", status="True", reason="InForce")
        )
        place = found["status"]["workspaces"][0]
        ref = Ref(KindRef.of(Workspace), place["name"], place["namespace"])
        await desk.start(admin, ref, say=lambda _: None)
        yield running(namespace=place["namespace"])
    finally:
        await grants.gone(admin, Ref(grants.GRANTS, POLICY))
        with suppress(ClusterError):
            await admin.delete(Ref(KindRef.of(EgressPolicy), POLICY))


INSTALL = """
import subprocess, sys
done = subprocess.run(
    ["pip", "install", "--no-input", *sys.argv[1:]], capture_output=True, text=True, timeout=300
)
print(done.returncode, done.stdout, done.stderr)
"""


def install(arm: Arm, *arguments: str) -> str:
    """Run pip as a researcher would; return its exit code and everything it says."""
    return arm.python(INSTALL, *arguments)


def test_a_listed_package_is_installed_and_another_is_refused_by_its_rule(index: Path, opened: Arm):
    """Real pip, real mirror, and an index outside that is asked for nothing but what is open."""
    said = install(opened, LISTED)
    assert said.startswith("0 "), said
    assert opened.run("python3", "-c", f"import {LISTED}; print({LISTED}.__file__)") == (
        f"/home/carrel/.local/lib/python3.11/site-packages/{LISTED}.py"
    )
    refused = install(opened, UNLISTED)
    assert refused.startswith("1 ")
    assert "egress.package_not_listed" in refused
    assert UNLISTED in refused

    def found() -> list[dict[str, Any]]:
        return [each for each in why(opened) if each["rule"] == "egress.package_not_listed"]

    until(lambda: bool(found()), seconds=30)
    assert all(UNLISTED in each["name"] for each in found())
    assert f"lists {UNLISTED!r}" in found()[0]["todo"]
    asked = index.read_text()
    assert LISTED in asked
    assert UNLISTED not in asked
    assert opened.python(CONNECT) == "ConnectionRefusedError"


def test_a_workspace_that_runs_finds_its_services_again_behind_another_agent(
    index: Path, workspace: Arm
):
    """Turning the mirror on replaced the agent's pod, with everything that kept the sockets."""
    assert index.exists()

    def served() -> bool:
        return "desk answered" in workspace.python(ANSWERED)

    until(served, seconds=120)
    assert workspace.python(LOOK_UP) == "3 15 15 egress.name_never_forwarded"
