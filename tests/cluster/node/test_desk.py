"""A pod's whole way on a node: locked, proven, watched, ended."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from carrel.cluster import Change, ChangeType, KindRef, Ref
from carrel.cluster.errors import Unavailable
from carrel.cluster.refs import POD, Objects
from carrel.node.cgroup import is_frozen
from carrel.node.gate import ADMITTED, NO_AGENT
from carrel.render import nft
from support.attempts import ATTEMPTS
from support.fake_cluster import FakeCluster
from support.ground import Ground, Pod, ground, line_of, pod, space
from support.stand import NAME, Stand, stand, until
from support.sums import reconciled

pytestmark = pytest.mark.root

KEEPS_TRYING = """
import socket, sys
while True:
    try:
        socket.create_connection(("203.0.113.1", 80), 0.2)
    except OSError:
        continue
"""
FORKS = """
import os, sys
print("up", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        continue
"""


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


@pytest.fixture
def desk(place: Ground) -> Iterator[Pod]:
    with pod(place) as made:
        yield made


async def test_a_start_is_locked_then_proven_then_let_pass(desk: Pod, tmp_path: Path) -> None:
    before = desk.ground.arrived()
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        gate = desk.gate()
        assert await asyncio.to_thread(gate.wait, 20) == ADMITTED
        # The gate is let pass first and reported next: a report that is late delays nobody.
        await until(lambda: agent.condition("GateProven").reason == "Proven")
        assert agent.condition("LockLoaded").reason == "Loaded"
        assert agent.condition("CgroupEmpty").reason == "MayRun"
        assert agent.recorded()[-2:] == ["LockLoaded", "GateProven"]
    assert desk.ground.arrived() == before


async def test_without_an_agent_nothing_starts(desk: Pod) -> None:
    gate = "from carrel.node.gate import main; raise SystemExit(main(patience=0.3))"
    assert await asyncio.to_thread(desk.start(sys.executable, "-c", gate).wait, 20) == NO_AGENT


async def test_a_removed_lock_is_loaded_again_recorded_proven_again_and_the_pod_is_frozen(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
        desk.ground.pod.run("nft", "flush", "ruleset")
        await until(lambda: "LockTampered" in agent.recorded())
        await until(lambda: agent.recorded()[-2:] == ["GateProven", "WorkspaceFrozen"])
        assert desk.ground.pod.python(ATTEMPTS["tcp"]) == "ECONNREFUSED"
        assert agent.condition("LockLoaded").reason == "Tampered"
        assert is_frozen((desk.directory,))


async def test_when_the_grant_ends_the_lock_closes_and_everything_is_killed(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
        desk.python(KEEPS_TRYING)
        await agent.close_workspace()
        await agent.reason("CgroupEmpty", "Killed")
        assert desk.running() == 0
        await until(lambda: agent.recorded()[-2:] == ["LockClosed", "CgroupEmptied"])
        assert "8888" not in desk.ground.pod.run("nft", "list", "ruleset")


async def test_a_fork_bomb_is_emptied_too(desk: Pod, tmp_path: Path) -> None:
    # Without a limit of processes the bomb would be the machine's: the pod's own is 30.
    limit = Path("/sys/fs/cgroup/pids") / desk.directory.relative_to("/sys/fs/cgroup/freezer")
    limit.mkdir(parents=True)
    (limit / "pids.max").write_text("30")
    try:
        async with stand(tmp_path) as agent:
            await agent.open_workspace()
            await agent.bind(desk)
            assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
            join = f"echo $$ > {limit}/cgroup.procs && exec {sys.executable} -c '{FORKS}'"
            bomb = desk.start("nice", "-n", "19", "sh", "-c", join)
            assert await asyncio.to_thread(line_of, bomb) == "up"
            await agent.close_workspace()
            await agent.reason("CgroupEmpty", "Killed")
            assert desk.running() == 0
    finally:
        limit.rmdir()


async def test_expiry_ends_a_workspace_by_the_nodes_own_clock(desk: Pod, tmp_path: Path) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace(expires=timedelta(minutes=5))
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
        agent.clock.advance(timedelta(minutes=6))
        await agent.reason("CgroupEmpty", "Killed")
        assert desk.running() == 0


async def test_what_starts_after_the_end_is_killed_as_well(desk: Pod, tmp_path: Path) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        await agent.reason("LockLoaded", "Loaded")
        await agent.close_workspace()
        await agent.reason("CgroupEmpty", "Killed")
        late = desk.start("sleep", "1000", kind="late")
        assert await asyncio.to_thread(late.wait, 20) == -9


async def test_a_new_agent_adopts_a_lock_without_touching_its_counters(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk, gate="Passed")
        await agent.reason("GateProven", "Proven")
        cluster = agent.cluster
    before = desk.ground.pod.run(
        "nft", "-j", "list", "counter", "inet", "carrel_lock", "refused_tcp"
    )
    async with stand(tmp_path, cluster=cluster) as agent:
        await agent.reason("GateProven", "Proven")
        recorded = agent.recorded()
        assert recorded.count("LockTampered") == 1  # the first agent found no lock at all
    after = desk.ground.pod.run(
        "nft", "-j", "list", "counter", "inet", "carrel_lock", "refused_tcp"
    )
    assert _packets(after) > _packets(before)


async def test_an_agent_of_another_version_keeps_what_was_counted_while_none_was_there(
    desk: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 60) == ADMITTED
        ref = Ref(POD, "desk", NAME)
        passed = {"name": "lock-gate", "state": {"terminated": {"exitCode": 0}}}
        agent.cluster.set_status(ref, {"initContainerStatuses": [passed]})
        cluster, loaded = agent.cluster, agent.status().ruleset_digest
        await until(lambda: loaded in (tmp_path / "known.json").read_text())
    for _ in range(5):
        desk.ground.pod.python(ATTEMPTS["tcp"])
    monkeypatch.setattr(nft, "_TELL", nft._TELL.replace("320", "300"))
    async with stand(tmp_path, cluster=cluster) as agent:
        await agent.reason("EgressRecorded", "Reconciled")
        assert "LockTampered" not in agent.recorded()
        comparisons = [e for e in agent.told() if e["activity"] == "CountsReconciled"]
        assert reconciled(agent.told()) > 0
        assert "Rebased" not in {e["detail"]["outcome"] for e in comparisons}
        await until(lambda: ("203.0.113.1", 5) in recovered(agent))


def recovered(agent: Stand) -> list[tuple[str, int]]:
    found = [e["detail"] for e in agent.told() if e["activity"] == "CountsRecovered"]
    return [(each["address"], each["count"]) for each in found]


async def test_a_new_sandbox_is_a_new_proof(desk: Pod, tmp_path: Path) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace()
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
        with ground() as other:
            first = desk.started[0]
            first.kill()
            first.wait()
            desk.ground = other
            desk.start("sleep", "1000", kind="sandbox")
            assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
        assert agent.recorded().count("GateProven") == 2


async def test_a_network_that_refuses_by_itself_proves_nothing(tmp_path: Path) -> None:
    # No lock can be seen in a namespace whose only route ends in a refusal by the route itself.
    with space() as bare:
        for table in ("-4", "-6"):
            bare.run("ip", table, "route", "add", "prohibit", "default")
        with pod(Ground(bare, bare)) as made:
            async with stand(tmp_path) as agent:
                await agent.open_workspace()
                await agent.bind(made)
                assert await asyncio.to_thread(made.gate().wait, 20) != ADMITTED
                assert agent.condition("GateProven").status == "False"


class Silent(FakeCluster):
    """An API server that never answers."""

    async def list(self, kind: KindRef, **_: object) -> Objects:  # noqa: D102 - the Protocol says
        raise Unavailable("no answer", call=f"list {kind.plural}")

    async def watch(self, *_: object, **__: object) -> AsyncIterator[Change]:  # noqa: D102 - as above
        await asyncio.Event().wait()
        yield Change(ChangeType.SYNCED, {})


def _packets(text: str) -> int:
    return next(e["counter"]["packets"] for e in json.loads(text)["nftables"] if "counter" in e)


async def test_an_agent_that_starts_without_an_api_server_still_ends_what_expires(
    desk: Pod, tmp_path: Path
) -> None:
    async with stand(tmp_path) as agent:
        await agent.open_workspace(expires=timedelta(minutes=5))
        await agent.bind(desk)
        assert await asyncio.to_thread(desk.gate().wait, 20) == ADMITTED
    async with stand(tmp_path, cluster=Silent(now=agent.clock.now)) as agent:
        assert desk.running() > 0
        agent.clock.advance(timedelta(minutes=6))
        await until(lambda: desk.running() == 0)
        await until(lambda: agent.recorded()[-1] == "CgroupEmptied")
