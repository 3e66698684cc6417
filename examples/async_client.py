"""Classify all JPEG files of a folder with the Python client, several requests at a time.

    pip install ./client
    python examples/async_client.py photos

Each line appears as soon as its image is answered. URL names another service than
http://127.0.0.1:8000.
"""

import asyncio
import os
import sys
from pathlib import Path

from mobilenet_gateway_client import AsyncClient, Options

URL = os.environ.get("URL", "http://127.0.0.1:8000")


async def main(folder: Path) -> None:
    async with AsyncClient(URL) as client:
        paths = sorted(folder.glob("*.jpg"))
        async for path, found in client.classify_each(paths, Options(top_k=1)):
            print(f"{Path(str(path)).name}: {found.error or found.label}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
