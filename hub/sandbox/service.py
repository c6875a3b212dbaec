"""All stand-ins in one process: the disclosure system, the national platform, a department's open interface, and one
department for each subscription.

``python -m hub.sandbox.service --data DIR --feedback-url URL --department SUBSCRIPTION=NAME …``

Under the data folder: ``sandbox.json`` says where everybody listens, and as which process, from the
moment when all of them do until they stop (a killed run leaves it behind); ``identity.json`` keeps
ports and secrets over restarts. Both hold secrets and can be read by their owner alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import random
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from hub.contracts.catalog import Catalog
from hub.domain.webhook import new_secret
from hub.errors import ContractError, InfrastructureError, UsageError
from hub.sandbox.department import create_department
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import FaultPlan
from hub.sandbox.national_platform import create_national_platform
from hub.sandbox.open_interface import PATH, Feed, create_open_interface, sample_records

HOST = "127.0.0.1"
DISCLOSURE = "disclosure"
INTERFACE = "interface"
NATIONAL = "national"
_OWN = (DISCLOSURE, INTERFACE, NATIONAL)
#: What the open interface has to give at its start.
_SAMPLES = 40
READY_FILE = "sandbox.json"
IDENTITY_FILE = "identity.json"
#: Below the range that systems hand out to outgoing connections: no client sits on a server's port.
PORTS = range(20_000, 32_000)
#: Requests under way at SIGTERM get this long; what they miss the hub sends again.
GRACE_SECONDS = 5
#: Names a file and a topic (inbox.<subscription>), so it is held to what both can bear.
_SUBSCRIPTION = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """One of several in a process: signals are taken once, for all of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_sandbox(
    data: Path,
    feedback_url: str,
    departments: Mapping[str, str],
    ports: Mapping[str, int] | None = None,
    *,
    home: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then stops cleanly.

    ``departments`` maps subscriptions to display names. ``ports`` fixes ports by subscription,
    ``disclosure``, ``interface`` or ``national``; others are those of the last run if they are free, else any free
    ones. ``home``
    holds ``schemas/`` and ``reference/``, by default the folders beside the package; without them the
    public pages show the fields' own names.

    Raises UsageError if the folder is in use or a wanted port is taken.
    """
    for subscription in departments:
        if not _SUBSCRIPTION.fullmatch(subscription) or subscription in _OWN:
            raise UsageError(f"{subscription!r} cannot name a subscription of the sandbox.")
    unknown = sorted(set(ports or {}) - {*_OWN, *departments})
    if unknown:
        raise UsageError(f"Ports are named for {', '.join(unknown)}, which the sandbox does not run.")
    data.mkdir(parents=True, exist_ok=True)
    with _owned(data), contextlib.ExitStack() as bound:
        ready_file = data / READY_FILE
        ready_file.unlink(missing_ok=True)  # of a run that was killed: nobody answers there yet
        identity = _load_identity(data / IDENTITY_FILE)
        sockets: dict[str, socket.socket] = {}
        for name in (*_OWN, *departments):
            wanted = (ports or {}).get(name)
            sockets[name] = bound.enter_context(_bind(wanted, identity["ports"].get(name)))
            identity["ports"][name] = sockets[name].getsockname()[1]
        for name in (NATIONAL, *departments):
            identity["secrets"].setdefault(name, new_secret("hmac"))
        token = identity["secrets"].setdefault(INTERFACE, secrets.token_urlsafe(24))
        _save_private(data / IDENTITY_FILE, identity)
        feed = Feed(sample_records(_SAMPLES), data / "interface.jsonl")
        bound.callback(feed.close)
        apps = {
            DISCLOSURE: create_disclosure_system(data, FaultPlan(), _load_catalog(home)),
            INTERFACE: create_open_interface(token, FaultPlan(), feed),
            NATIONAL: create_national_platform(data, identity["secrets"][NATIONAL]),
        }
        for subscription, name in departments.items():
            secret = identity["secrets"][subscription]
            apps[subscription] = create_department(
                name, subscription, secret, feedback_url, data, FaultPlan()
            )
        try:
            asyncio.run(_serve(apps, sockets, ready_file, _describe(sockets, identity["secrets"])))
        finally:
            ready_file.unlink(missing_ok=True)


async def _serve(
    apps: Mapping[str, FastAPI], sockets: Mapping[str, socket.socket], ready_file: Path, ready: dict[str, Any]
) -> None:
    servers = {
        name: _Server(uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        ))
        for name, app in apps.items()
    }

    def stop() -> None:
        for server in servers.values():
            server.should_exit = True

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
    tasks = [
        asyncio.create_task(server.serve(sockets=[sockets[name]]), name=name)
        for name, server in servers.items()
    ]
    try:
        while not all(server.started for server in servers.values()):
            if any(task.done() for task in tasks):
                break  # one could not start, or we were told to stop meanwhile
            await asyncio.sleep(0.02)
        else:
            _save_private(ready_file, ready)
            _log.info("sandbox.ready", disclosure=ready["disclosure"]["url"], departments=len(apps) - len(_OWN))
        # One that ends alone takes the others with it: half a sandbox would look like a broken hub.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop()
        failures = [
            result for result in await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(result, BaseException)
        ]
    if failures:
        raise failures[0]


def _describe(sockets: Mapping[str, socket.socket], keys: Mapping[str, str]) -> dict[str, Any]:
    urls = {name: f"http://{HOST}:{found.getsockname()[1]}" for name, found in sockets.items()}
    return {
        "pid": os.getpid(),
        "disclosure": {"url": urls.pop(DISCLOSURE)},
        "interface": {"url": urls.pop(INTERFACE) + PATH, "token": keys[INTERFACE]},
        "national": {"url": urls.pop(NATIONAL), "token": keys[NATIONAL]},
        "departments": {
            name: {"url": f"{url}/hook", "page": f"{url}/", "secret": keys[name]}
            for name, url in urls.items()
        },
    }


def _load_catalog(home: Path | None) -> Catalog | None:
    root = home or Path(__file__).resolve().parents[2]
    try:
        return Catalog.load(root)
    except (ContractError, OSError) as error:
        _log.warning("sandbox.no_titles", error=str(error))
        return None


@contextlib.contextmanager
def _owned(data: Path) -> Iterator[None]:
    """Two senders on one book would answer twice. The lock ends with the process, however it ends."""
    with (data / "sandbox.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another sandbox runs on {data}: stop it or name another folder.") from None
        yield


def _bind(wanted: int | None, remembered: int | None) -> socket.socket:
    """A bound socket: on ``wanted`` or not at all, else on ``remembered``, else on any free port."""
    candidates = [wanted] if wanted is not None else [
        *([remembered] if remembered else []), *random.sample(PORTS, 100)
    ]
    for port in candidates:
        bound = socket.socket()
        # As every server does: a port whose last connections still linger is free.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError:
            bound.close()
            continue
        return bound
    if wanted is not None:
        raise UsageError(f"Port {wanted} of {HOST} is taken.")
    raise InfrastructureError(f"No free port of {HOST} between {PORTS.start} and {PORTS.stop - 1}.")


def _load_identity(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        found = {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Restore it, or take an empty folder.") from error
    return {"ports": dict(found.get("ports", {})), "secrets": dict(found.get("secrets", {}))}


def _save_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step; it is never readable by others, not even for a moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
    os.replace(draft, path)


def _named(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (sign and name and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _port(text: str) -> tuple[str, int]:
    name, value = _named(text)
    if not value.isdecimal() or not 0 <= int(value) <= 65_535:
        raise argparse.ArgumentTypeError(f"{value!r} is not a port")
    return name, int(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hub.sandbox.service", description="The stand-ins.")
    parser.add_argument("--data", type=Path, required=True, help="folder of everything that they keep")
    parser.add_argument("--feedback-url", required=True, help="where departments send their answers")
    parser.add_argument(
        "--department", type=_named, action="append", default=[], metavar="SUBSCRIPTION=NAME",
        help="a department and what it subscribes to; may be repeated",
    )
    parser.add_argument(
        "--port", type=_port, action="append", default=[], metavar="NAME=PORT",
        help="a fixed port, by subscription, 'disclosure', 'interface' or 'national'; may be repeated",
    )
    parser.add_argument("--home", type=Path, help="folder of schemas/ and reference/")
    given = parser.parse_args(arguments)
    try:
        run_sandbox(
            given.data, given.feedback_url, dict(given.department), dict(given.port), home=given.home
        )
    except (UsageError, InfrastructureError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
