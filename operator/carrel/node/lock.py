"""`python -m carrel.node lock`: the privileged process; it parses nothing that a user wrote."""

import logging
import os
from pathlib import Path

from carrel.cluster import connect
from carrel.flows.clock import SystemClock
from carrel.node import proof, recorder
from carrel.node.agent import Agent
from carrel.node.gateways import Gateways
from carrel.node.health import Health
from carrel.node.netns import namespaces_of
from carrel.node.nft import lock_for, probe_wire_layer
from carrel.node.process import open_own_chain, until_stopped
from carrel.node.processes import PROC
from carrel.node.recollection import Memory
from carrel.node.recording import boot_id
from carrel.node.report import Reporter
from carrel.node.scanner import Scanner
from carrel.node.settings import Settings, SettingsError, name_servers
from carrel.node.site import ExpectedDigests, Site

log = logging.getLogger(__name__)

PROCESS = "node-lock"
MANAGER = "carrel-node-lock"


async def run(settings: Settings) -> None:
    """Run until SIGTERM; locks that are loaded stay loaded."""
    clock = SystemClock()
    for folder in (settings.ledger_dir / recorder.PROCESS, settings.keys_dir):
        give_folder(folder, user=settings.recorder_user)
    health = Health()
    wire = await probe_wire_layer()
    digests = ExpectedDigests()
    # Nearly every pod has one device of this name: its digest is known before the first comes.
    await digests.of(lock_for(("eth0",), wire=wire))
    async with connect(settings.kubeconfig, user_agent=MANAGER) as cluster:
        reporter = Reporter(cluster, node=settings.node_name, manager=MANAGER, clock=clock)
        with await open_own_chain(settings, PROCESS) as ledger:
            site = Site(
                node=settings.node_name,
                wire=wire,
                targets=proof.targets(
                    node_addresses=settings.node_addresses,
                    name_servers=name_servers(),
                    api_server=settings.api_endpoint(),
                ),
                own_namespaces=_own_namespaces(),
                cgroup_root=settings.cgroup_root,
                proc=PROC,
                clock=clock,
                ledger=ledger,
                reporter=reporter,
                scanner=Scanner(kubelet_root=settings.kubelet_root),
                digests=digests,
                health=health,
                gateways=Gateways(cluster, namespace=settings.namespace),
                kubelet_root=settings.kubelet_root,
                run_directory=settings.run_dir,
                boot_id=boot_id(),
            )
            log.info("lock process begins", extra={"node": settings.node_name, "wire": wire})
            memory = Memory(settings.ledger_dir / "node-lock.known.json")
            agent = Agent(cluster, site=site, health=health, memory=memory)
            await until_stopped(agent.run(), health.serve(settings.metrics_port))


def give_folder(folder: Path, *, user: int) -> None:
    """Make a folder that belongs to the user of a container without privileges."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != user:
        os.chown(folder, user, user)
        folder.chmod(0o700)


def _own_namespaces() -> frozenset[tuple[int, int]]:
    try:
        return namespaces_of(PROC / "1/ns/net", PROC / "self/ns/net")
    except OSError as error:
        raise SettingsError(
            f"node_namespace_is_unknown: {error}; the lock container must be privileged and see "
            "the node's processes (hostPID), or it might lock the node itself"
        ) from error
