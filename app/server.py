"""Running the application under uvicorn."""

import uvicorn
from fastapi import FastAPI

from app.settings import Settings


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run()
