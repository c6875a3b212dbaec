"""``hub up``: the whole hub in one go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from hub import wiring
from hub.cli.common import Data, errors_as_sentences, settings_of
from hub.demo import prepare
from hub.domain.calendar import local_date
from hub.house import House
from hub.sandbox.generate.season import MIN_SIZE
from hub.settings import Settings, load
from hub.wiring.seeds import Seeded


def up(
    data: Data = None,
    brokers: Annotated[int, typer.Option(help="1 或 3 个代理 / brokers, 1 or 3")] = 1,
    sandbox: Annotated[bool, typer.Option(help="带上沙箱 / with stand-ins for outside systems")] = True,
    rows: Annotated[
        int, typer.Option(min=0, help="新目录中先生成的行数，0 为不生成 / rows that a new folder begins with")
    ] = 2000,
) -> None:
    """Starts broker, index, all stages and the web side on this machine; Ctrl-C ends them.

    With the sandbox, a new data folder begins with a season of three departments' exports.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with errors_as_sentences():
        settings = settings_of(data)
        if sandbox and rows and not settings.sources.exists():
            prepare(settings.data, seed=20260701, size=max(rows, MIN_SIZE), ends_on=local_date(datetime.now(UTC)))
        with House(settings, brokers=brokers, with_sandbox=sandbox, say=lambda text: typer.echo(f"  {text}")) as house:
            logins = wiring.seed_accounts(_running(settings, house)) if sandbox else []
            print_addresses(house)
            print_logins(house, logins)
            while not stop.wait(1.0):
                pass
            typer.echo("stopping ...")


def print_addresses(house: House) -> None:
    """Where everything listens."""
    web = house.addresses["web"]
    typer.echo("\n枢纽已启动 / the hub is up")
    typer.echo(f"  Kafka             {house.addresses['bootstrap']}")
    typer.echo(f"  Kafka（部门直连）  {house.addresses['departments_bootstrap']}")
    typer.echo(f"  Valkey            {house.addresses['redis_url']}")
    typer.echo(f"  API               {web}/docs")
    typer.echo(f"  Schema registry   {web}/registry/subjects")
    typer.echo(f"  Prometheus        {house.addresses['metrics']}")
    if house.exports.exists():
        typer.echo(f"  导出文件夹        {house.exports}/*/  放入文件即被读取 / drop exports here")
    if found := house.addresses.get("sandbox"):
        for name, page in found["channels"].items():
            typer.echo(f"  渠道（沙箱）      {page}  {name}")
        typer.echo(f"  业务接口（沙箱）  {found['interface']}")
        typer.echo(f"  国家平台（沙箱）  {found['national']}/docs")
        for name, page in found["departments"].items():
            typer.echo(f"  部门（沙箱）      {page}  {name}")


def _running(settings: Settings, house: House) -> Settings:
    """Settings of the hub that this process started."""
    return load(data=settings.data, bootstrap_servers=house.addresses["bootstrap"])


def print_logins(house: House, logins: Sequence[Seeded]) -> None:
    """The made-up accounts of the sandbox, where there are any."""
    if logins:
        typer.echo(f"\n沙箱账号 / accounts of the sandbox: {house.addresses['web']}/sign-in")
        for each in logins:
            typer.echo(f"  {each.name:<12} {each.password}  {each.role:<14} {each.department}")
