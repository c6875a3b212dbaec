"""Uvicorn as a service: the web side, and the health of a stage."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI


class WebService:
    """Uvicorn as a service; run outside the main thread it leaves signals to the command line."""

    def __init__(self, server: uvicorn.Server, close: Callable[[], None]) -> None:
        self._server, self._close = server, close

    def run(self) -> None:
        try:
            self._server.run()
        finally:
            self._close()

    def stop(self) -> None:
        self._server.should_exit = True


class HealthServer:
    """Serves an application on a socket that is open already, until it is told to stop."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1,
        )
        self._server, self._listening = uvicorn.Server(config), listening

    def run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._listening.close()

    def stop(self) -> None:
        self._server.should_exit = True
