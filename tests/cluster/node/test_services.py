"""The loopback services of a pod: opened by the lock, served by the relay, gone with the pod."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.kinds.egress import EgressAllowance, EgressPolicySpec, PackageList
from carrel.ledger import Keyring, Sealed
from carrel.node import nft
from carrel.node.gate import ADMITTED
from carrel.node.handover import Handover
from carrel.node.holder import Holder
from carrel.node.netns import NetworkNamespace
from carrel.node.nft import lock_of
from carrel.node.recording import Recording
from carrel.node.vigil import GRACE_SECONDS, Vigil
from carrel.render.nft import Counts, WireLayer
from support.ground import Ground, Pod, ground, pod
from support.loopback import BINDING
from support.stand import recorder, recording, relay, said, stand, until

pytestmark = pytest.mark.root

LISTED = EgressPolicySpec(
    title="One package",
    allow=EgressAllowance.LISTED,
    packages=(PackageList(index="pypi", projects=("idna",)),),
)
OPENED = replace(BINDING, egress_policy_spec=LISTED.model_dump_json(by_alias=True))

# What each service does, in the words of who asks: an answer, or refused at once.
_KNOCK = """
import json, socket, sys, urllib.error, urllib.request
def refused(ask):
    try:
        return ask()
    except urllib.error.HTTPError as error:
        return error.reason.partition(":")[0]
    except ConnectionRefusedError:
        return "refused"
    except urllib.error.URLError as error:
        return "refused" if isinstance(error.reason, ConnectionRefusedError) else str(error)
def dns(form):
    label = sys.argv[1].encode()
    question = bytes([0, 9, 1, 0, 0, 1]) + bytes(6) + bytes([len(label)]) + label
    question += b"\\x07example\\0\\0\\x01\\0\\x01"
    with socket.socket(socket.AF_INET, form) as channel:
        channel.settimeout(30)
        channel.connect(("127.0.0.1", 53))
        prefix = len(question).to_bytes(2, "big") if form == socket.SOCK_STREAM else b""
        channel.send(prefix + question)
        return channel.recv(512)[len(prefix) :][3] & 15
def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)
print(json.dumps({
    "dns-udp": refused(lambda: dns(socket.SOCK_DGRAM)),
    "dns-tcp": refused(lambda: dns(socket.SOCK_STREAM)),
    "mirror": refused(lambda: get("http://127.0.0.1:3141/simple/numpy/")),
    "desk": refused(lambda: get("http://127.0.0.1:3142/v1/me")["grant"]),
}))
"""
_WHY = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:3142/v1/why", timeout=30).read().decode())
"""
_SQUAT = """
import socket, time
taken = socket.create_server(("127.0.0.1", 3142))
print("taken", flush=True)
time.sleep(1000)
"""
SERVED = {
    "dns-udp": 3,
    "dns-tcp": 3,
    "mirror": "egress.nothing_allowed",
    "desk": BINDING.grant,
}
SHUT = dict.fromkeys(SERVED, "refused")


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


async def knock(place: Ground, name: str = "evil") -> dict[str, object]:
    found: dict[str, object] = json.loads(
        await asyncio.to_thread(place.pod.python, _KNOCK, name, seconds=120)
    )
    return found


@asynccontextmanager
async def locked(place: Ground) -> AsyncIterator[NetworkNamespace]:
    namespace = NetworkNamespace.at(place.pod.path)
    try:
        lock = await lock_of(namespace, wire=WireLayer.PRESENT)
        await nft.load(namespace, lock, counts=Counts.FRESH)
        yield namespace
    finally:
        namespace.close()


def watching(namespace: NetworkNamespace, run: Path) -> Vigil:
    return Vigil(namespace, run_directory=run, wire=WireLayer.PRESENT)


async def test_a_pod_has_its_services_from_its_start_to_its_end(
    place: Ground, tmp_path: Path
) -> None:
    with pod(place) as desk:
        async with stand(tmp_path) as agent:
            await agent.open_workspace()
            await agent.bind(desk)
            assert await asyncio.to_thread(desk.gate().wait, 30) == ADMITTED
            assert await knock(place) == SERVED | {"desk": "stroke"}
            # Once over UDP and once over TCP; what the gate tried is recorded and not shown.
            await until(lambda: recorded(tmp_path)["evil.example"] == 2)
            assert await shown(desk, tmp_path) == {
                ("dns", "evil.example", 2),
                ("mirror", "GET /simple/numpy/", 1),
            }
            canaries = [name for name in recorded(tmp_path) if name.startswith("canary-")]
            assert [recorded(tmp_path)[name] for name in canaries] == [1]
            await agent.close_workspace()
            await agent.reason("CgroupEmpty", "Killed")
            assert await Handover(tmp_path / "run").names() == frozenset()
            assert await knock(place) == SHUT


async def shown(desk: Pod, directory: Path) -> set[tuple[str, str, int]]:
    """Return what the researcher is shown, once the list is there."""
    listed = directory / "run/refusals" / f"{desk.uid}.json"
    await until(lambda: listed.exists() and "numpy" in listed.read_text())
    told = json.loads(await asyncio.to_thread(desk.ground.pod.python, _WHY))
    return {(each["layer"], each["name"], each["count"]) for each in told["refusals"]}


def recorded(directory: Path) -> Counter[str]:
    """Return how often each name was refused, by the recorder's chain."""
    key = Keyring(directory / "keys").key("stroke")
    found: Counter[str] = Counter()
    for each in said(directory / "recorder"):
        if "sealed" in each and each["detail"]["layer"] == "dns":
            name = key.open(Sealed.model_validate(each["sealed"]["name"]), field="name")
            found[name] += each["detail"]["count"]
    return found


async def test_a_lock_that_begins_anew_leaves_the_services_and_tells_a_new_policy(
    place: Ground, tmp_path: Path
) -> None:
    async with recording(tmp_path), locked(place) as namespace:
        before = Recording(namespace, run_directory=tmp_path / "run", wire=WireLayer.PRESENT)
        await before.hand_over(BINDING)
        assert await knock(place) == SERVED
        before.close()
        after = Recording(namespace, run_directory=tmp_path / "run", wire=WireLayer.PRESENT)
        await after.hand_over(OPENED)
        expected = SERVED | {"mirror": "egress.package_not_listed"}

        async def told() -> bool:
            return await knock(place) == expected

        async with asyncio.timeout(60):
            while not await told():
                pass
        after.close()


async def test_a_holder_and_a_relay_that_begin_anew_are_given_the_services_again(
    place: Ground, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    async with locked(place) as namespace, recorder(tmp_path):
        vigil = watching(namespace, run)
        for _ in range(2):
            holder = asyncio.create_task(Holder(run).run())
            await asyncio.sleep(0)
            async with relay(run):
                await vigil.begin(BINDING)
                assert await knock(place) == SERVED
            holder.cancel()
            await asyncio.gather(holder, return_exceptions=True)
        vigil.close()
        assert await knock(place) == SHUT


async def test_nothing_is_served_while_nobody_records_and_again_once_counts_agree(
    place: Ground, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    holder = asyncio.create_task(Holder(run).run())
    async with locked(place) as namespace, relay(run):
        vigil = watching(namespace, run)
        async with recorder(tmp_path):
            await vigil.begin(BINDING)
            assert await knock(place) == SERVED
        # Two looks after the recorder died: the second is past the grace.
        assert (await vigil.look(BINDING, now=1_000.0)).order is None
        late = await vigil.look(BINDING, now=1_000.0 + GRACE_SECONDS)
        assert late.order is BINDING.on_recorder_loss
        await vigil.close_services(BINDING.pod_uid)
        assert await knock(place) == SHUT
        # Without a recorder they stay shut, however often somebody looks.
        await vigil.look(BINDING, now=1_100.0)
        assert await knock(place) == SHUT
        async with recorder(tmp_path):
            async with asyncio.timeout(60):
                while (await vigil.look(BINDING, now=1_200.0)).recorded.status != "True":
                    pass
            async with asyncio.timeout(60):
                while await knock(place) != SERVED:
                    pass
        vigil.close()
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)


async def test_a_port_that_somebody_took_while_it_was_free_is_left_to_them(
    place: Ground, tmp_path: Path
) -> None:
    async with recording(tmp_path), locked(place) as namespace:
        with pod(place) as desk:
            squatter = desk.python(_SQUAT)
            assert squatter.stdout
            assert await asyncio.to_thread(squatter.stdout.readline) == "taken\n"
            vigil = watching(namespace, tmp_path / "run")
            await vigil.begin(BINDING)
            kept = await Handover(tmp_path / "run").names()
            assert {name.partition("/")[2] for name in kept} == {
                *("nflog", "dns-udp", "dns-tcp", "mirror")
            }
            squatter.kill()
            squatter.wait()
            # The next look finds it free.
            assert (await vigil.look(BINDING, now=1_000.0)).order is None
            assert await knock(place) == SERVED
            vigil.close()
