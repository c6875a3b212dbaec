"""Templates of the stand-ins' pages: rendered here, escaped, with nothing fetched from outside."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

#: Asia/Shanghai has had no summer time since 1991, and no zone data are needed for a fixed offset.
SHANGHAI = timezone(timedelta(hours=8))


def local_time(text: str | None) -> str:
    """An RFC 3339 instant as a reader in Gannan writes it; empty for none."""
    return datetime.fromisoformat(text).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M") if text else ""


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)
_environment.filters["local_time"] = local_time
templates = Jinja2Templates(env=_environment)
