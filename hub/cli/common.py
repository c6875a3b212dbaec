"""What all commands share: options, errors as sentences, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.steady_log import configure
from hub.domain.calendar import SHANGHAI
from hub.domain.plain import to_plain
from hub.errors import HubError, UsageError
from hub.settings import Settings, load

AsJson = Annotated[bool, typer.Option("--json", help="JSON，供程序读取 / for programs")]
Data = Annotated[Path | None, typer.Option("--data", help="数据目录 / data folder, default .hub")]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Exit 1 for what was found wrong, 2 for a command misused; one sentence on stderr."""
    try:
        yield
    except UsageError as error:
        typer.echo(f"hub: {error}", err=True)
        raise typer.Exit(2) from error
    except HubError as error:
        typer.echo(f"hub: {error}", err=True)
        raise typer.Exit(1) from error


def settings_of(data: Path | None = None, **more: Any) -> Settings:
    """Settings, with the log going to stderr at the level that they name."""
    settings = load(data=data, **more)
    level = _LEVELS.get(settings.log_level.lower())
    if level is None:
        raise UsageError(f"HUB_LOG_LEVEL is one of {', '.join(_LEVELS)}, not {settings.log_level!r}.")
    configure(level)
    return settings


def moment_of(text: str | None) -> datetime | None:
    """A moment that was asked for; of Asia/Shanghai where it names no zone. Raises UsageError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} 不是时刻，应如 2026-11-01T00:00 (not a moment)") from None


def print_json(value: Any) -> None:
    typer.echo(json.dumps(to_plain(value), ensure_ascii=False, indent=1))
