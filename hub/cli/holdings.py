"""``hub holdings``: which subscription holds what, and what of it is out of date."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from hub import wiring
from hub.bus.reader import partitions_of, read_topics
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.domain.murmur2 import partition_of
from hub.domain.plain import instant_text
from hub.ops.holdings import DELIVERIES, FEEDBACK, HOLDINGS, INBOX, Held, Told, fold, inboxes_of
from hub.settings import Settings

app = typer.Typer(help="持有情况 / which subscription holds which fact", no_args_is_help=True)

_STATES = {
    "held": "持有 / held", "stale": "过时 / stale", "lifted": "已解除 / lifted",
    "undelivered": "未送达 / not delivered",
}  # fmt: skip
_ACTIONS = {"apply": "采取措施", "amend": "变更", "lift": "解除"}
_STATUSES = {
    "waiting": "待送达", "parked": "停放", "delivered": "已送达", "expired": "过期未送", "superseded": "被取代",
    "dropped": "已放弃",
}  # fmt: skip
_ANSWERS = {"registered": "已登记", "acted": "已解除", "inapplicable": "不适用", "objected": "有异议"}


@app.command("list")
def list_holdings(
    stale: Annotated[bool, typer.Option("--stale", help="只列过时的 / only what is out of date")] = False,
    subscription: Annotated[str | None, typer.Option(help="订阅 / of this subscription alone")] = None,
    subject: Annotated[str | None, typer.Option(help="企业代码 / code of an enterprise")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Every fact and subscription: delivered last, on its way, lifted, answered. Exit 1 if one is out of date."""
    with errors_as_sentences():
        found = [
            each
            for each in read_holdings(settings_of(data), subject)
            if subscription in (None, each.subscription) and (each.stale is not None or not stale)
        ]
    if as_json:
        print_json([each.as_dict() for each in found])
    else:
        for each in found:
            typer.echo(_line(each))
        typer.echo(_sum(found))
    raise typer.Exit(1 if any(each.stale is not None for each in found) else 0)


def read_holdings(settings: Settings, subject: str | None = None) -> list[Held]:
    """Out of the log as it is now; of a subject only its own partition is read."""
    catalog = wiring.open_catalog(settings)
    known = wiring.open_map(settings, catalog).subscriptions
    partition = None
    if subject is not None:
        count = partitions_of(settings.bootstrap, HOLDINGS)
        partition = partition_of(subject.encode(), count) if count else 0
    holdings = list(read_topics(settings.bootstrap, [HOLDINGS], partition))
    # Also those of subscriptions that the map does not have any more.
    inboxes = inboxes_of(holdings, catalog) | {INBOX + name for name in known}
    rest = read_topics(settings.bootstrap, [*sorted(inboxes), DELIVERIES, FEEDBACK], partition)
    found = fold([*holdings, *rest], catalog, known)
    return [each for each in found if subject in (None, each.subject)]


def _line(held: Held) -> str:
    state = _STATES[_state(held)].partition(" / ")[0]
    parts = [state, held.subject, held.subscription, held.correlation_id, f"已送达 {_told(held.delivered)}"]
    if held.on_the_way is not None:
        parts.append(f"在途 {_told(held.on_the_way)}")
    if held.is_lifted:
        parts.append(f"解除反馈 {_ANSWERS.get(held.answer or '', held.answer or '未反馈')}")
    if held.stale is not None:
        parts.append(held.stale)
    return "\t".join(parts)


def _told(told: Told | None) -> str:
    if told is None:
        return "—"
    status = "" if told.status == "delivered" else f" {_STATUSES.get(told.status, told.status)}"
    return f"{_ACTIONS.get(told.action, told.action)} v{told.sequence}{status} {instant_text(told.at)}"


def _sum(found: list[Held]) -> str:
    if not found:
        return "没有持有记录 / nothing is held"
    counts = Counter(_state(each) for each in found)
    return ", ".join(f"{title} {counts[state]:,}" for state, title in _STATES.items())


def _state(held: Held) -> str:
    if held.stale is not None:
        return "stale"
    if held.is_lifted:
        return "lifted"
    return "held" if held.delivered is not None else "undelivered"
