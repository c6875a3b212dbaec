"""``hub run``: one stage as a service. It loads what that stage needs alone."""

from __future__ import annotations

import faulthandler
import signal
from typing import Annotated

import structlog
import typer

from hub import wiring
from hub.bus.batch import tune_collector
from hub.cli.common import Data, errors_as_sentences, settings_of


def run(
    stage: Annotated[str, typer.Argument(help="、".join(wiring.STAGES))],
    data: Data = None,
) -> None:
    """Runs one stage as a service until SIGTERM, then drains it."""
    # A stage that hangs can be asked where: kill -USR1 writes every thread's stack to its log.
    faulthandler.register(signal.SIGUSR1)
    tune_collector()
    with errors_as_sentences():
        settings = settings_of(data)
        structlog.get_logger().info("settings", stage=stage, **settings.masked())
        service = wiring.Together({
            stage: wiring.with_health(settings, stage, wiring.build_service(settings, stage))
        })
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        service.run()
