"""One process of the ledger, to be killed by tests.

Run as ``python -m tests.chaos.ledger_process BOOTSTRAP REDIS_URL`` from the root of the project.
"""

from __future__ import annotations

import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos.stopping import stop_at_sigterm
from tests.support_ledger import service


def main(bootstrap: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
        stage = service(bootstrap, client)
        stop_at_sigterm(stage.stop)
        stage.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
