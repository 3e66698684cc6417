"""A call of either client, for tests that both have to pass."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from mobilenet_gateway_client import AsyncClient, Client, Retry

from tests.processes import LIVELINESS_S

NEVER = Retry(patience_s=0)
Do = Callable[..., Any]


def do_sync(
    url: str,
    method: str,
    *arguments: Any,
    retry: Retry = NEVER,
    timeout_s: float = LIVELINESS_S,
    **options: Any,
) -> Any:
    with Client(url, retry=retry, timeout_s=timeout_s) as client:
        return getattr(client, method)(*arguments, **options)


def do_async(
    url: str,
    method: str,
    *arguments: Any,
    retry: Retry = NEVER,
    timeout_s: float = LIVELINESS_S,
    **options: Any,
) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, retry=retry, timeout_s=timeout_s) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(run())


both = pytest.mark.parametrize("do", [do_sync, do_async], ids=["sync", "async"])
