"""All stand-ins in one process: the disclosure system, the national platform, a department's open interface, one
department for each subscription, and the other side of each channel that has one of its own.

``python -m hub.sandbox.service --data DIR --feedback-url URL --department SUBSCRIPTION=NAME … --channel
NAME=CONNECTOR …``

Under the data folder: ``sandbox.json`` says where everybody listens, and as which process, from the
moment when all of them do until they stop (a killed run leaves it behind); ``identity.json`` keeps
ports and secrets over restarts. Both hold secrets and can be read by their owner alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
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
from hub.sandbox.channels import OWN_SERVER, create_channels, describe_channels
from hub.sandbox.department import create_department
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import FaultPlan
from hub.sandbox.national_platform import create_national_platform
from hub.sandbox.open_interface import PATH, Feed, create_open_interface, sample_records
from hub.sandbox.places import bind, load_identity, owned, save_private, url_of

DISCLOSURE = "disclosure"
INTERFACE = "interface"
NATIONAL = "national"
_OWN = (DISCLOSURE, INTERFACE, NATIONAL)
#: What the open interface has to give at its start.
_SAMPLES = 40
READY_FILE = "sandbox.json"
IDENTITY_FILE = "identity.json"
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
    channels: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then stops cleanly.

    ``departments`` maps subscriptions to display names, ``channels`` channels to their connectors. ``ports`` fixes
    ports by subscription, ``channel:NAME``, ``disclosure``, ``interface`` or ``national``; others are those of the last
    run if they are free, else any free ones. ``home`` holds ``schemas/`` and ``reference/``, by default the folders
    beside the package; without them the public pages show the fields' own names.

    Raises UsageError if the folder is in use or a wanted port is taken.
    """
    for subscription in departments:
        if not _SUBSCRIPTION.fullmatch(subscription) or subscription in _OWN:
            raise UsageError(f"{subscription!r} cannot name a subscription of the sandbox.")
    for channel in channels or ():
        if not _SUBSCRIPTION.fullmatch(channel):
            raise UsageError(f"{channel!r} cannot name a channel of the sandbox.")
    channels = channels or {}
    unknown = sorted(set(ports or {}) - {*_OWN, *departments, *(f"{OWN_SERVER}{name}" for name in channels)})
    if unknown:
        raise UsageError(f"Ports are named for {', '.join(unknown)}, which the sandbox does not run.")
    data.mkdir(parents=True, exist_ok=True)
    with owned(data), contextlib.ExitStack() as bound:
        ready_file = data / READY_FILE
        ready_file.unlink(missing_ok=True)  # of a run that was killed: nobody answers there yet
        identity = load_identity(data / IDENTITY_FILE)
        sockets: dict[str, socket.socket] = {}
        standins = create_channels(channels, data)
        for name in (*_OWN, *departments, *standins):
            wanted = (ports or {}).get(name)
            sockets[name] = bound.enter_context(bind(wanted, identity["ports"].get(name)))
            identity["ports"][name] = sockets[name].getsockname()[1]
        for name in (NATIONAL, *departments):
            identity["secrets"].setdefault(name, new_secret("hmac"))
        token = identity["secrets"].setdefault(INTERFACE, secrets.token_urlsafe(24))
        save_private(data / IDENTITY_FILE, identity)
        feed = Feed(sample_records(_SAMPLES), data / "interface.jsonl")
        bound.callback(feed.close)
        apps: dict[str, FastAPI] = {
            DISCLOSURE: create_disclosure_system(data, FaultPlan(), _load_catalog(home)),
            INTERFACE: create_open_interface(token, FaultPlan(), feed),
            NATIONAL: create_national_platform(data, identity["secrets"][NATIONAL]),
        }
        for subscription, name in departments.items():
            secret = identity["secrets"][subscription]
            apps[subscription] = create_department(
                name, subscription, secret, feedback_url, data, FaultPlan()
            )
        apps |= {key: standin.app for key, standin in standins.items()}
        ready = _describe({name: sockets[name] for name in (*_OWN, *departments)}, identity["secrets"])
        urls = {name: url_of(each) for name, each in sockets.items()}
        ready["channels"] = describe_channels(channels, standins, urls, urls[DISCLOSURE])
        try:
            asyncio.run(_serve(apps, sockets, ready_file, ready))
        finally:
            ready_file.unlink(missing_ok=True)


async def _serve(
    apps: Mapping[str, FastAPI], sockets: Mapping[str, socket.socket], ready_file: Path, ready: dict[str, Any]
) -> None:
    servers = {
        name: _Server(uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, lifespan="on", ws="none",
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
            save_private(ready_file, ready)
            _log.info("sandbox.ready", disclosure=ready["disclosure"]["url"], departments=len(ready["departments"]),
                      channels=len(ready["channels"]))
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
    urls = {name: url_of(found) for name, found in sockets.items()}
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
        "--channel", type=_named, action="append", default=[], metavar="NAME=CONNECTOR",
        help="a channel of the map and its connector; may be repeated",
    )
    parser.add_argument(
        "--port", type=_port, action="append", default=[], metavar="NAME=PORT",
        help="a fixed port, by subscription, 'channel:NAME', 'disclosure', 'interface' or 'national'; may be repeated",
    )
    parser.add_argument("--home", type=Path, help="folder of schemas/ and reference/")
    given = parser.parse_args(arguments)
    try:
        run_sandbox(
            given.data, given.feedback_url, dict(given.department), dict(given.port), channels=dict(given.channel),
            home=given.home,
        )
    except (UsageError, InfrastructureError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
