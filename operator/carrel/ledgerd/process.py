"""The central log as a process: takes records, signs, asks the witness, forwards its own chain."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from carrel.cluster import Cluster
from carrel.flows.clock import Clock
from carrel.flows.forwarding import Forwarder, Place
from carrel.flows.process import endpoint
from carrel.flows.served_certificate import ServedCertificate
from carrel.flows.serving import listening
from carrel.ledger import Chain, open_chain
from carrel.ledger.errors import EvidenceError
from carrel.ledger.note import KeyType, SigningKey, VerifierKey
from carrel.ledgerd.cosigning import Cosigning, HTTPAsker
from carrel.ledgerd.identity import Doorkeeper
from carrel.ledgerd.intake import ACTOR, Intake
from carrel.ledgerd.log import Log, open_log
from carrel.ledgerd.pods import Pods
from carrel.ledgerd.service import Service
from carrel.ledgerd.settings import Settings
from carrel.ledgerd.writers import Identity

PROCESS = "ledgerd"
CERTIFICATE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class OwnDoor:
    """The way by which the log's own chain comes into the log."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._identity = Identity(ACTOR, "")

    async def place(self, *, process: str, chain: str) -> Place | None:
        """Return the last record of a chain that the log holds."""
        return self._intake.place(self._identity, process=process, chain=chain)

    async def send(self, lines: Sequence[bytes], *, process: str, chain: str) -> Place:
        """Append records and return the last one that the log holds."""
        return await self._intake.take(self._identity, lines, process=process, chain=chain)


def log_key(settings: Settings) -> SigningKey:
    """Read the log's key.

    Raises:
        EvidenceError: when the file holds none.
        OSError: when it cannot be read.

    """
    private = load_pem_private_key(settings.log_key.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise EvidenceError("key_is_malformed", f"{settings.log_key} holds no Ed25519 key")
    return SigningKey(settings.log_origin, KeyType.LOG, private)


async def run(
    settings: Settings,
    *,
    cluster: Cluster,
    clock: Clock,
    ready: asyncio.Future[int] | None = None,
) -> None:
    """Run until cancelled; `ready` gets the port of the service once it listens."""
    key = log_key(settings)
    with open_chain(settings.ledger_dir, process=PROCESS, clock=clock) as chain:
        log = await asyncio.to_thread(open_log, settings.log_dir, key)
        try:
            await _serve(settings, key, log, chain, cluster=cluster, clock=clock, ready=ready)
        finally:
            await asyncio.to_thread(log.close)


async def _serve(
    settings: Settings,
    key: SigningKey,
    log: Log,
    chain: Chain,
    *,
    cluster: Cluster,
    clock: Clock,
    ready: asyncio.Future[int] | None,
) -> None:
    pods, registry = Pods(), CollectorRegistry()
    intake = Intake(log, chain, clock, pod_node=pods.node)
    service = Service(intake, Doorkeeper(cluster, namespace=settings.namespace))
    forwarder = Forwarder(settings.ledger_dir, process=PROCESS, door=OwnDoor(intake), clock=clock)
    ProcessCollector(registry=registry)
    size = Gauge("carrel_ledger_size", "Entries that the log signed for", registry=registry)
    size.set_function(lambda: float(log.checkpoint.size))
    certificate = ServedCertificate(settings.tls_cert, settings.tls_key)

    def trouble() -> str | None:
        return log.trouble or chain.trouble or None

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            endpoint(port=settings.metrics_port, health=trouble, registry=registry)
        )
        work: list[Any] = [
            pods.follow(cluster),
            forwarder.run(),
            certificate.follow(every=CERTIFICATE_SECONDS),
        ]
        if settings.witness_address:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            work.append(
                _cosigning(
                    settings,
                    key=key,
                    log=log,
                    chain=chain,
                    clock=clock,
                    session=session,
                    registry=registry,
                ).run()
            )
        port = await stack.enter_async_context(
            listening(service.application(), settings.port, certificate.context)
        )
        if ready is not None:
            ready.set_result(port)
        _log.info("the log begins with %d entries; key %s", log.checkpoint.size, key.verifier.text)
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)


def _cosigning(
    settings: Settings,
    *,
    key: SigningKey,
    log: Log,
    chain: Chain,
    clock: Clock,
    session: aiohttp.ClientSession,
    registry: CollectorRegistry,
) -> Cosigning:
    cosigning = Cosigning(
        log,
        key=key.verifier,
        witness=VerifierKey.parse(settings.witness_key),
        asker=HTTPAsker(settings.witness_address, session),
        ledger=chain,
        clock=clock,
    )
    # Where the witness runs is part of the figure: in the same cluster it proves little.
    size = Gauge(
        "carrel_ledger_cosigned_size",
        "Entries that the witness signed",
        ["place"],
        registry=registry,
    )
    size.labels(settings.witness_place.value).set_function(lambda: float(cosigning.size))
    return cosigning
