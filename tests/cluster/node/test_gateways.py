"""The way in: open for the gateway's present address alone, and told together with the server."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carrel.cluster import Ref
from carrel.cluster.refs import NAMESPACE, POD
from carrel.kinds.node_report import ReportedServer
from support.attempts import ATTEMPTS
from support.authority import Authority
from support.fake_cluster import FakeCluster
from support.ground import NODE_ADDRESS, Ground, Pod, ground, line_of, pod
from support.stand import NAME, Stand, stand, until

pytestmark = pytest.mark.root

PLACE = "carrel-system"
SERVE = (
    "import socket; s = socket.create_server(('0.0.0.0', 8888)); print('up', flush=True)\n"
    "while True:\n c = s.accept()[0]\n c.send(b'hello')\n"
    " try: c.send(c.recv(9))\n except OSError: pass"
)
CALL = "import socket; s = socket.create_connection(('10.77.0.2', 8888), 1); print(s.recv(9))"
TALK = (
    "import socket, sys; s = socket.create_connection(('10.77.0.2', 8888), 1)\n"
    "print(s.recv(9), flush=True); sys.stdin.readline()\n"
    "s.send(b'b')\ntry: print(s.recv(9), flush=True)\n"
    "except TimeoutError: print('cut', flush=True)"
)


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


@pytest.fixture
def desk(place: Ground) -> Iterator[Pod]:
    with pod(place) as made:
        yield made


async def gateway_comes(cluster: FakeCluster, *, account: str = "carrel-gateway") -> Ref:
    """Say that a pod runs as the gateway at the node's own end of the link."""
    if Ref(NAMESPACE, PLACE) not in cluster.objects:
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    labels = {"app.kubernetes.io/name": "carrel", "app.kubernetes.io/component": "gateway"}
    raw: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "carrel-gateway-0", "namespace": PLACE, "labels": labels},
        "spec": {"serviceAccountName": account},
    }
    await cluster.create(raw)
    ref = Ref(POD, "carrel-gateway-0", PLACE)
    cluster.set_status(ref, {"phase": "Running", "podIPs": [{"ip": NODE_ADDRESS}]})
    return ref


async def started(agent: Stand, desk: Pod) -> None:
    """Bring a workspace to where its gate was passed."""
    await agent.open_workspace()
    await agent.bind(desk)
    assert await asyncio.to_thread(desk.gate().wait, 20) == 0
    await until(lambda: agent.condition("GateProven").reason == "Proven")
    passed = {"name": "lock-gate", "state": {"terminated": {"exitCode": 0}}}
    agent.cluster.set_status(Ref(POD, "desk", NAME), {"initContainerStatuses": [passed]})


def let_in(agent: Stand) -> tuple[str, ...]:
    """Return whom the report says is let in."""
    status = agent.status()
    return status.gateways if status else ()


async def test_a_gateway_is_let_in_from_when_it_comes_until_it_is_gone(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await started(agent, desk)
        assert line_of(desk.python(SERVE)) == "up"
        with pytest.raises(AssertionError, match="timed out"):
            desk.ground.internet.python(CALL)
        ref = await gateway_comes(agent.cluster)
        await until(lambda: let_in(agent) == (NODE_ADDRESS,))
        assert desk.ground.internet.python(CALL) == "b'hello'"
        await agent.cluster.delete(ref)
        await until(lambda: let_in(agent) == ())
        with pytest.raises(AssertionError, match="timed out"):
            desk.ground.internet.python(CALL)
        assert "LockTampered" not in agent.recorded()


async def test_a_pod_that_only_wears_the_gateways_labels_is_not_let_in(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await started(agent, desk)
        assert line_of(desk.python(SERVE)) == "up"
        await gateway_comes(agent.cluster, account="default")
        with pytest.raises(AssertionError, match="timed out"):
            desk.ground.internet.python(CALL)
        assert let_in(agent) == ()


async def test_what_was_counted_stays_when_a_gateway_comes(desk: Pod, tmp_path: Path) -> None:
    async with stand(tmp_path) as agent:
        await started(agent, desk)
        desk.ground.pod.python(ATTEMPTS["tcp"])
        before = desk.ground.pod.run("nft", "list", "counter", "inet", "carrel_lock", "refused")
        await gateway_comes(agent.cluster)
        await until(lambda: let_in(agent) == (NODE_ADDRESS,))
        after = desk.ground.pod.run("nft", "list", "counter", "inet", "carrel_lock", "refused")
        assert after == before
        assert "packets 0 " not in after


async def test_a_connection_is_cut_when_the_gateways_pod_is_gone(desk: Pod, tmp_path: Path) -> None:
    async with stand(tmp_path) as agent:
        ref = await gateway_comes(agent.cluster)
        await started(agent, desk)
        assert line_of(desk.python(SERVE)) == "up"
        with _talking(desk) as caller:
            assert line_of(caller) == "b'hello'"
            await agent.cluster.delete(ref)
            await until(lambda: let_in(agent) == ())
            _go_on(caller)
            assert line_of(caller) == "cut"


async def test_a_connection_outlives_the_agent_and_its_successor_lets_the_same_in(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await gateway_comes(agent.cluster)
        await started(agent, desk)
        assert line_of(desk.python(SERVE)) == "up"
        cluster = agent.cluster
        caller = _talking(desk)
        assert line_of(caller) == "b'hello'"
    with caller:
        async with stand(tmp_path, cluster=cluster) as after:
            await until(lambda: let_in(after) == (NODE_ADDRESS,))
            _go_on(caller)
            assert line_of(caller) == "b'b'"
            assert "LockTampered" not in after.recorded()


async def test_address_and_certificate_of_the_server_are_told_and_end_with_the_grant(
    desk: Pod, tmp_path: Path
) -> None:
    made, _ = Authority(tmp_path / "made").vouch(NAME)
    async with stand(tmp_path) as agent:
        await started(agent, desk)
        ref = Ref(POD, "desk", NAME)
        status = agent.cluster.objects[ref]["status"]
        agent.cluster.set_status(ref, {**status, "podIP": "10.77.0.2"})
        volume = tmp_path / f"kubelet/pods/{desk.uid}/volumes/kubernetes.io~empty-dir/server"
        volume.mkdir(parents=True)
        made.rename(volume / "tls.crt")
        told = ReportedServer(address="10.77.0.2", certificate=(volume / "tls.crt").read_text())
        await until(lambda: agent.status().server == told)
        await agent.close_workspace()
        await agent.reason("CgroupEmpty", "Killed", "Exited")
        assert agent.status().server is None
        assert let_in(agent) == ()


def _talking(desk: Pod) -> subprocess.Popen[str]:
    return subprocess.Popen(
        desk.ground.internet.enter(sys.executable, "-c", TALK),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _go_on(caller: subprocess.Popen[str]) -> None:
    assert caller.stdin
    caller.stdin.write("\n")
    caller.stdin.flush()
