"""`python -m carrel.witness`: cosigns checkpoints until it is told to end."""

import asyncio
import sys

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import CollectorRegistry

from carrel.flows.clock import SystemClock
from carrel.flows.process import endpoint, log_as_json, until_told
from carrel.flows.settings import SettingsError
from carrel.ledger.errors import EvidenceError, LedgerError
from carrel.ledger.note import KeyType, SigningKey, VerifierKey
from carrel.witness.cosigner import Cosigner
from carrel.witness.memory import Memory
from carrel.witness.service import Service
from carrel.witness.settings import Settings


async def run(settings: Settings, *, ready: asyncio.Future[int] | None = None) -> None:
    """Serve until cancelled; `ready` gets the port once it listens."""
    private = load_pem_private_key(settings.key.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise EvidenceError("key_is_malformed", f"{settings.key} holds no Ed25519 key")
    key = SigningKey(settings.name, KeyType.COSIGNER, private)
    lines = settings.logs.read_text().splitlines()
    logs = [VerifierKey.parse(line) for line in lines if line.strip()]
    memory, registry, clock = Memory(settings.state_dir), CollectorRegistry(), SystemClock()
    cosigner = Cosigner(key, logs, memory, seconds=lambda: int(clock.now().timestamp()))
    for log in logs:
        memory.last(log.name)  # a witness that cannot know what it signed does not begin
    service = Service(cosigner, memory, origins=[log.name for log in logs], registry=registry)
    runner = web.AppRunner(service.application(), access_log=None)
    async with endpoint(port=settings.metrics_port, health=lambda: None, registry=registry):
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.address, settings.port).start()
            if ready is not None:
                ready.set_result(int(runner.addresses[0][1]))
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(until_told(run(Settings.from_environment())))
    except (SettingsError, LedgerError, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
