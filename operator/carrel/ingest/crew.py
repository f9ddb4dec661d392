"""Worker processes for chunks: a file that kills its worker is found and refused."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from carrel.ingest.reading import Order, broken, perform

# A child forked from here would hold the locks of threads that do not exist in it; the fork
# server has none, and has read the modules once for all workers.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["carrel.ingest.reading"])


async def performed(orders: Sequence[Order], *, workers: int) -> AsyncIterator[Path]:
    """Yield the result of each chunk as it is done, in any order.

    Raises:
        OSError: when staging cannot be read or the store cannot be written.

    """
    left = list(orders)
    while left:
        done: list[Order] = []
        try:
            async for order, result in _pooled(left, workers=workers):
                done.append(order)
                yield result
        except BrokenProcessPool:
            # Whose fault it was is not told. What was in the workers' hands goes file by file.
            left = [order for order in left if order not in done]
            suspects, left = left[: 2 * workers], left[2 * workers :]
            for order in suspects:
                async for result in _one_by_one(order):
                    yield result
        else:
            return


async def _pooled(orders: Sequence[Order], *, workers: int) -> AsyncIterator[tuple[Order, Path]]:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(workers, mp_context=_CONTEXT) as pool:
        waiting, running = list(reversed(orders)), dict[asyncio.Future[Path], Order]()
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                order = waiting.pop()
                running[loop.run_in_executor(pool, perform, order)] = order
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                order = running.pop(future)
                yield order, future.result()


async def _one_by_one(order: Order) -> AsyncIterator[Path]:
    loop = asyncio.get_running_loop()
    for file in order.files:
        single = replace(order, files=(file,))
        with ProcessPoolExecutor(1, mp_context=_CONTEXT) as pool:
            try:
                yield await loop.run_in_executor(pool, perform, single)
            except BrokenProcessPool:
                yield broken(single)
