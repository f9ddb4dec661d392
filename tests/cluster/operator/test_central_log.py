"""The central log on a real API server: tokens are reviewed, chains arrive over TLS, once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from carrel.cluster import Cluster
from carrel.cluster.errors import Conflict
from carrel.flows.certificates import make_authority, make_server
from carrel.flows.clock import SystemClock
from carrel.flows.forwarding import AwayError, Forwarder
from carrel.flows.ledger_door import HTTPDoor
from carrel.ledger import Activity, Event, RecordClass, open_chain
from carrel.ledger.leaf import parse_leaf
from carrel.ledger.note import KeyType, SigningKey
from carrel.ledgerd import process as ledgerd
from carrel.ledgerd.identity import AUDIENCE
from carrel.ledgerd.settings import Settings
from carrel.witness.__main__ import run as run_witness
from carrel.witness.settings import Settings as WitnessSettings
from support import tlog_reader
from support.central_log import KEY

pytestmark = [pytest.mark.root, pytest.mark.loopback]

NAMESPACE = "carrel-system"
NODE = "log-node"
CLOCK = SystemClock()


async def made(cluster: Cluster, obj: dict[str, Any]) -> dict[str, Any]:
    """Create an object, or return nothing where it is there."""
    try:
        return await cluster.create(obj)
    except Conflict:
        return {}


async def token(
    cluster: Cluster, account: str, *, audience: str = AUDIENCE, pod: dict[str, Any] | None = None
) -> str:
    """Ask the API server for a token of a ServiceAccount, bound to a pod where one is given."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await made(cluster, namespace)
    await made(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": NAMESPACE},
        },
    )
    spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": 600}
    if pod:
        spec["boundObjectRef"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }
    answer = await cluster.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token",
        headers={"Content-Type": "application/json"},
        body=json.dumps(
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        ).encode(),
    )
    assert answer.status == 201, answer.body
    return str(json.loads(answer.body)["status"]["token"])


async def pod_on(cluster: Cluster, node: str, account: str, name: str) -> dict[str, Any]:
    """Bind a pod to a node, which need not run it."""
    await made(cluster, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    return await made(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "nodeName": node,
                "serviceAccountName": account,
                "containers": [{"name": "main", "image": "nothing"}],
            },
        },
    )


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Run something beside the test and end it afterwards."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def the_log(cluster: Cluster, folder: Path) -> AsyncIterator[str]:
    """Run the log and its witness; give the log's address."""
    authority = make_authority(now=CLOCK.now())
    pair = make_server(["localhost"], authority=authority, now=CLOCK.now())
    private = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, data in (
        ("ca.crt", authority.certificate),
        ("tls.crt", pair.certificate),
        ("tls.key", pair.key),
        ("log.key", private),
        ("logs", KEY.verifier.text.encode()),
    ):
        (folder / name).write_bytes(data)
    loop = asyncio.get_running_loop()
    witness_port: asyncio.Future[int] = loop.create_future()
    witness = WitnessSettings(
        name="w/1",
        key=folder / "log.key",
        logs=folder / "logs",
        state_dir=folder / "witness",
        address="127.0.0.1",
        port=0,
        metrics_port=0,
    )
    async with running(run_witness(witness, ready=witness_port)):
        port: asyncio.Future[int] = loop.create_future()
        settings = Settings(
            namespace=NAMESPACE,
            log_dir=folder / "log",
            ledger_dir=folder / "own",
            log_key=folder / "log.key",
            log_origin=KEY.name,
            tls_cert=folder / "tls.crt",
            tls_key=folder / "tls.key",
            port=0,
            metrics_port=0,
            witness_address=f"http://127.0.0.1:{await witness_port}",
            witness_key=witness_key_text(),
        )
        async with running(ledgerd.run(settings, cluster=cluster, clock=CLOCK, ready=port)):
            yield f"https://localhost:{await port}"


def witness_key_text() -> str:
    """Return the public key of the witness."""
    return SigningKey("w/1", KeyType.COSIGNER, KEY.private).verifier.text


async def recorded(folder: Path, process: str, activity: Activity, **fields: str) -> None:
    """Let a process record something."""
    with open_chain(folder, process=process, clock=CLOCK) as chain:
        event = Event(activity=activity, time=CLOCK.now(), actor=process, **fields)
        await chain.append(event, record_class=RecordClass.BEFORE)


async def forwarded(folder: Path, process: str, address: str, held: str) -> None:
    """Forward a chain until nothing is left."""
    (folder / "token").write_text(held)
    door = HTTPDoor(address, token=folder / "token", authority=folder / "ca.crt")
    async with door:
        forwarder = Forwarder(folder, process=process, door=door, clock=CLOCK)
        while await forwarder.step():
            pass


async def test_chains_arrive_once_from_whom_they_belong_to_and_are_witnessed(
    cluster: Cluster, folder: Path
) -> None:
    revoker = await token(cluster, "carrel-revoker")
    await token(cluster, "carrel-node")
    agent = await pod_on(cluster, NODE, "carrel-node", "agent")
    other = await pod_on(cluster, "another-node", "carrel-node", "elsewhere")
    async with the_log(cluster, folder) as address:
        await recorded(folder, "revoker", Activity.POD_DELETED)
        for _ in range(2):
            await forwarded(folder, "revoker", address, revoker)
        await recorded(folder, "revoker", Activity.POD_DELETED)
        await forwarded(folder, "revoker", address, revoker)

        elsewhere = await token(cluster, "carrel-revoker", audience="another-service")
        with pytest.raises(AwayError, match="token_is_not_valid"):
            await forwarded(folder, "revoker", address, elsewhere)
        with pytest.raises(AwayError, match="account_is_no_writer"):
            await forwarded(folder, "revoker", address, await token(cluster, "default"))

        bound = await token(cluster, "carrel-node", pod=agent)
        await recorded(folder, "node-lock", Activity.LOCK_LOADED, pod_uid=agent["metadata"]["uid"])
        await forwarded(folder, "node-lock", address, bound)
        await recorded(folder, "node-lock", Activity.LOCK_CLOSED, pod_uid=other["metadata"]["uid"])
        with pytest.raises(AwayError, match="pod_is_on_another_node"):
            await forwarded(folder, "node-lock", address, bound)
        async with asyncio.timeout(30):
            # A file that another process writes sets no event.
            while not (folder / "log" / "cosigned").exists():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.2)
    leaves = [
        parse_leaf(entry) for entry in tlog_reader.entries_of(folder / "log", key=KEY.verifier.text)
    ]
    places = [(leaf.source.writer, leaf.record.receipt.sequence) for leaf in leaves]
    assert sorted(place for place in places if place[0] == "revoker") == [
        ("revoker", number) for number in range(1, 7)
    ]
    nodes = {leaf.source.node for leaf in leaves if leaf.source.writer == "node-lock"}
    assert nodes == {NODE}
    cosigned = (folder / "log" / "cosigned").read_bytes()
    assert tlog_reader.signed_by(cosigned, witness_key_text()).startswith(KEY.name)
