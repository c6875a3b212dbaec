"""One web process that takes in events by HTTP, to be killed by tests.

Run as ``python -m tests.support_http_process BOOTSTRAP REDIS_URL DATA SOURCE KEY``; it prints its port.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import redis
import uvicorn

from hub.bus.publisher import KafkaPublisher
from hub.intake.desk import DeskMeans, SourceDesk
from hub.web.app import create_app
from tests.support_contracts import catalog
from tests.support_http_intake import router_of, source

SECRET = b"only-for-tests"
TOPICS = {"inspection.results.v1": "inspection/result", "enforcement.penalties.v1": "enforcement/penalty"}


def desk_of(publisher: KafkaPublisher, bootstrap: str, redis_url: str, data: Path, name: str) -> SourceDesk:
    client = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)
    return SourceDesk(name, TOPICS, DeskMeans(catalog(), bootstrap, client, data, SECRET, publisher))


def main(bootstrap: str, redis_url: str, data: str, name: str, key: str) -> None:
    desk = desk_of(KafkaPublisher(bootstrap, client_id="web"), bootstrap, redis_url, Path(data), name)
    threading.Thread(target=desk.run, daemon=True).start()
    given = source(name, events=["inspection.result.*", "enforcement.penalty.*"])
    app = create_app([("", router_of(desk, given, key))])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
