"""Several coroutines at once, until one of them is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_done(*work: Coroutine[Any, Any, Any]) -> None:
    """Run all until one returns or raises, which is raised here; the others are cancelled."""
    jobs = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in done:
            job.result()
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
