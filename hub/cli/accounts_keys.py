"""``hub accounts keys``: keys of departments' programs. A key is shown once; every change is on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hub import wiring
from hub.access.keys import MOST_DAYS, USUAL_DAYS, ApiKey
from hub.access.keys_desk import ApiKeysDesk
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.domain.plain import instant_text
from hub.domain.rights import KEY_SCOPES
from hub.settings import Settings

app = typer.Typer(help="部门程序的接口密钥 / keys of departments' programs", no_args_is_help=True)
Reason = Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")]


@contextmanager
def _desk(settings: Settings) -> Iterator[ApiKeysDesk]:
    catalog = wiring.open_catalog(settings)
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-accounts")) as publisher:
        yield wiring.api_keys_desk(settings, wiring.open_map(settings, catalog), catalog, publisher)


def _plain(key: ApiKey, last: datetime | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    state = "open" if key.opens_at(now) else "ended" if key.is_revoked else "expired"
    return {
        "key_id": key.key_id, "state": state, "department": key.department, "scopes": list(key.scopes),
        "title": key.title, "expires_at": instant_text(key.expires_at),
        "last_used_at": instant_text(last) if last else None, "changed_by": key.changed_by, "reason": key.reason,
    }


@app.command()
def create(
    department: Annotated[str, typer.Option("--department", help="部门 / department, an id of the map's departments")],
    scope: Annotated[list[str], typer.Option("--scope", help=f"范围，可多次 / scope: {', '.join(KEY_SCOPES)}")],
    title: Annotated[str, typer.Option("--title", help="用途 / what it is for")],
    reason: Reason,
    days: Annotated[int, typer.Option("--days", min=1, max=MOST_DAYS, help="有效天数 / days it opens")] = USUAL_DAYS,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes a key and shows it once."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        made = desk.create(title, department, scope, days, actor=this_actor(), reason=reason)
    if as_json:
        print_json(_plain(made.key, None) | {"key": made.text})
        return
    typer.echo(f"{made.key.key_id}\topen\t{department}\t{','.join(made.key.scopes)}")
    typer.echo(f"key\t{made.text}")


@app.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """Every key: state, department, scopes, end, last use (as far as Redis knows). Exit 1 if one has expired."""
    with errors_as_sentences():
        settings = settings_of(data)
        with _desk(settings) as desk:
            keys = desk.keys()
        uses = wiring.key_uses(settings).last([key.key_id for key in keys])
        shown = [_plain(key, uses.get(key.key_id)) for key in keys]
    if as_json:
        print_json(shown)
    else:
        for each in shown:
            typer.echo("\t".join((
                each["key_id"], each["state"], each["department"], ",".join(each["scopes"]), each["expires_at"],
                each["last_used_at"] or "never", each["title"],
            )))
    raise typer.Exit(1 if any(each["state"] == "expired" for each in shown) else 0)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="密钥编号或其开头 / id of the key, or its beginning")],
    reason: Reason,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ends a key at once."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        ended = desk.revoke(key_id, actor=this_actor(), reason=reason)
    if as_json:
        print_json(_plain(ended, None))
    else:
        typer.echo(f"{ended.key_id}\tended")
