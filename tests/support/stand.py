"""The lock process on this machine: real kernel, real ledger, an API server in memory."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

from carrel.cluster import JSON, Ref
from carrel.cluster.refs import POD
from carrel.flows.clock import FixedClock, SystemClock
from carrel.kinds.grant import OnRecorderLoss
from carrel.kinds.node_report import NodeReportStatus
from carrel.kinds.resource import Condition
from carrel.ledger import Activity, Chain, Keyring, open_chain
from carrel.node import proof
from carrel.node.agent import WORKSPACE, Agent
from carrel.node.gateways import Gateways
from carrel.node.health import Health
from carrel.node.holder import Holder
from carrel.node.netns import namespaces_of
from carrel.node.nft import probe_wire_layer
from carrel.node.past import Memories
from carrel.node.processes import PROC
from carrel.node.recollection import Memory
from carrel.node.recorder import Recorder
from carrel.node.recording import boot_id
from carrel.node.relay.process import Relay
from carrel.node.report import Reporter
from carrel.node.scanner import Scanner
from carrel.node.settings import Settings
from carrel.node.site import ExpectedDigests, Site
from carrel.node.watched import Identity
from carrel.rules.condition import find
from support.fake_cluster import FakeCluster
from support.ground import CGROUP, NODE_ADDRESS, Pod

NODE = "node-1"
NAME = "ws-stroke-0123456789ab"
TARGETS = proof.targets(
    node_addresses=(NODE_ADDRESS,), name_servers=("10.96.0.10",), api_server=("10.96.0.1", 443)
)


@dataclass
class Stand:
    """One agent and what it is told."""

    cluster: FakeCluster
    agent: Agent
    site: Site
    chain: Chain
    clock: FixedClock
    directory: Path

    async def open_workspace(
        self,
        *,
        expires: timedelta = timedelta(hours=1),
        name: str = NAME,
        on_recorder_loss: OnRecorderLoss = OnRecorderLoss.CLOSE_EGRESS,
    ) -> None:
        """Say that a workspace is in force on this node."""
        await self.cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        await self.cluster.create(
            {
                "apiVersion": "carrel.dev/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": name, "namespace": name},
                "spec": {
                    "grant": {"name": "stroke", "uid": "grant-1"},
                    "admission": "Open",
                    "expires": (self.clock.now() + expires).isoformat(),
                    "nodes": [NODE],
                    "onRecorderLoss": on_recorder_loss.value,
                },
            }
        )

    async def close_workspace(self) -> None:
        """Say that the grant is not in force any more."""
        closed = {"spec": {"admission": "Closed"}}
        await self.cluster.patch(Ref(WORKSPACE, NAME, NAME), closed, manager="test")

    async def bind(self, pod: Pod, *, gate: str = "Ahead", name: str = NAME) -> None:
        """Say that a pod was bound to this node."""
        labels = {
            "carrel.dev/role": "workspace",
            "carrel.dev/workspace": name,
            "carrel.dev/grant-uid": "grant-1",
        }
        metadata = {"name": "desk", "namespace": name, "uid": pod.uid, "labels": labels}
        passed = {"name": "lock-gate", "state": {"terminated": {"exitCode": 0}}}
        self.cluster.bring(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": {"nodeName": NODE},
                "status": {"initContainerStatuses": [passed] if gate == "Passed" else []},
            }
        )

    async def unbind(self, *, name: str = NAME) -> None:
        """Say that the pod is gone."""
        ref = Ref(POD, "desk", name)
        await self.cluster.delete(ref, grace=1)
        self.cluster.end_pod(ref)

    def status(self, *, name: str = NAME) -> NodeReportStatus | None:
        """Return what the agent said of the workspace."""
        raw = self.cluster.objects[Ref(WORKSPACE, name, name)]
        return self.site.reporter.known(Identity(name, name, raw["metadata"]["uid"]))

    def condition(self, kind: str, *, name: str = NAME) -> Condition | None:
        """Return one condition that the agent said."""
        status = self.status(name=name)
        return find(status.conditions, kind) if status else None

    async def reason(self, kind: str, *reasons: str, seconds: float = 20, name: str = NAME) -> str:
        """Wait until a condition gives one of these reasons, and return it."""

        def said() -> bool:
            found = self.condition(kind, name=name)
            return found is not None and found.reason in reasons

        def what() -> str:
            return f"{kind} in {reasons}: {self.status(name=name)}"

        await until(said, seconds=seconds, what=what)
        found = self.condition(kind, name=name)
        return found.reason if found else ""

    def recorded(self) -> list[str]:
        """Return the activities in the ledger's files, signs of life aside."""
        happened = [event["activity"] for event in self.events()]
        return [activity for activity in happened if activity != Activity.HEARTBEAT]

    def told(self) -> list[JSON]:
        """Return what the recorder wrote."""
        return said(self.directory / "recorder")

    def details(self, activity: str) -> list[JSON]:
        """Return the details of every record of an activity."""
        return [event["detail"] for event in self.events() if event["activity"] == activity]

    def events(self) -> list[JSON]:
        """Return the events in the ledger's files."""
        return said(self.directory / "ledger")


def said(directory: Path) -> list[JSON]:
    """Return what the records in a directory say, in order."""
    lines = [
        line
        for file in sorted(directory.rglob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [json.loads(line)["event"]["carrel"] for line in lines]


async def until(
    holds: Callable[[], bool], *, seconds: float = 20, what: Callable[[], str] = lambda: ""
) -> None:
    """Wait until something holds."""
    ends = asyncio.get_running_loop().time() + seconds
    while not holds():
        if asyncio.get_running_loop().time() >= ends:
            raise AssertionError(f"never came true: {what()}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def stand(directory: Path, *, cluster: FakeCluster | None = None) -> AsyncIterator[Stand]:
    """Run an agent; leaving ends it as SIGKILL would, without any good-bye to the kernel."""
    async with recording(directory), lock_alone(directory, cluster=cluster) as made:
        yield made


@asynccontextmanager
async def lock_alone(
    directory: Path, *, cluster: FakeCluster | None = None
) -> AsyncIterator[Stand]:
    """Run a lock beside a holder and a recorder, or without them."""
    clock = FixedClock(SystemClock().now().astimezone(UTC))
    cluster = cluster or FakeCluster(now=clock.now)
    health = Health()
    with open_chain(directory / "ledger", process="node-lock", clock=SystemClock()) as chain:
        site = Site(
            node=NODE,
            wire=await probe_wire_layer(),
            targets=TARGETS,
            own_namespaces=namespaces_of(PROC / "self/ns/net"),
            run_directory=directory / "run",
            boot_id=boot_id(),
            cgroup_root=CGROUP,
            proc=PROC,
            clock=clock,
            ledger=chain,
            reporter=Reporter(cluster, node=NODE, manager="carrel-node-lock", clock=clock),
            scanner=Scanner(kubelet_root=directory / "kubelet"),
            digests=ExpectedDigests(),
            health=health,
            gateways=Gateways(cluster, namespace="carrel-system"),
            kubelet_root=directory / "kubelet",
        )
        memory = Memory(directory / "known.json")
        agent = Agent(cluster, site=site, health=health, memory=memory)
        running = asyncio.create_task(agent.run())
        try:
            yield Stand(cluster, agent, site, chain, clock, directory)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def recording(directory: Path) -> AsyncIterator[Recorder]:
    """Run a holder, a recorder and a relay; leaving ends them without any good-bye."""
    run = directory / "run"
    async with holding(run), recorder(directory) as made, relay(run):
        yield made


@asynccontextmanager
async def holding(run: Path) -> AsyncIterator[None]:
    """Run a holder alone."""
    run.mkdir(exist_ok=True)
    running = asyncio.create_task(Holder(run).run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def recorder_process(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the recorder as a container would."""
    settings = {
        "CARREL_NODE_NAME": NODE,
        "CARREL_LEDGER_DIR": str(directory / "recorder"),
        "CARREL_RUN_DIR": str(directory / "run"),
        "CARREL_KEYS_DIR": str(directory / "keys"),
        "CARREL_METRICS_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "carrel.node", "recorder"]
    with subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def relay(run: Path) -> AsyncIterator[None]:
    """Run a relay beside a holder that runs."""
    settings = Settings(node_name=NODE, run_dir=run, relay_dir=run / "relay")
    made = Relay(settings, clock=SystemClock())
    running = [asyncio.create_task(each) for each in (made.run(), made.telling.run(made.collect))]
    try:
        yield
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def recorder(directory: Path) -> AsyncIterator[Recorder]:
    """Run a recorder beside a holder that runs."""
    ledger = directory / "recorder"
    clock = SystemClock()
    with open_chain(ledger, process="node-recorder", clock=clock) as chain:
        made = Recorder(
            run_directory=directory / "run",
            chain=chain,
            memories=Memories.read(ledger / "node-recorder"),
            keyring=Keyring(directory / "keys"),
            clock=clock,
        )
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
