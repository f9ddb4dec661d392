"""The life of a process of the agent: its own chain, and its end by SIGTERM."""

import asyncio
import logging
import signal
from collections.abc import Coroutine

from carrel.flows.clock import SystemClock
from carrel.ledger import Chain, LedgerBusyError, open_chain
from carrel.node.settings import Settings

log = logging.getLogger(__name__)


async def open_own_chain(settings: Settings, process: str) -> Chain:
    """Open the chain of this process, waiting while the one before us still writes it."""
    while True:
        try:
            return open_chain(settings.ledger_dir, process=process, clock=SystemClock())
        except LedgerBusyError:
            log.info("another agent still writes the chain; waiting")
            await asyncio.sleep(0.5)


async def until_stopped(*work: Coroutine[object, object, None]) -> None:
    """Run everything until SIGTERM or SIGINT, or until one of them fails."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(each) for each in work]
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopping):
        task.cancel()
    await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for task in done - {stopping}:
        task.result()
