"""``hub accounts reports``: changes of departments' administrators and leaders, as the lead agency is told of them."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from hub import wiring
from hub.access.desk import Person
from hub.access.reports import Report
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.domain.plain import instant_text
from hub.errors import UsageError


def reports(
    acknowledge: Annotated[
        str | None, typer.Option("--acknowledge", metavar="ID", help="签收此报备 / the lead agency takes note of it")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="签收意见 / a note; it stays on record")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Changes of administrators and leaders, the oldest first. Exit 1 if one waits for the lead agency."""
    with errors_as_sentences():
        settings = settings_of(data)
        if (acknowledge is None) != (reason is None):
            raise UsageError("--acknowledge and --reason belong together.")
        catalog = wiring.open_catalog(settings)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-accounts")) as publisher:
            desk = wiring.accounts_desk(settings, wiring.open_map(settings, catalog), catalog, publisher)
            desk.settle_reports()
            if acknowledge is not None:
                desk.acknowledge(acknowledge, by=Person(this_actor()), note=reason or "")
            found = desk.reports()
    if as_json:
        print_json([_plain(each) for each in found])
    else:
        for each in found:
            state = "waiting" if each.is_open else f"noted by {each.acknowledged_by}"
            typer.echo("\t".join((
                each.report_id, state, each.department, each.account, ",".join(each.changes), each.made_by,
                instant_text(each.made_at),
            )))
    raise typer.Exit(1 if any(each.is_open for each in found) else 0)


def _plain(report: Report) -> dict[str, object]:
    names = (
        "report_id", "department", "account", "display_name", "changes", "made_by", "made_reason", "made_at",
        "acknowledged_by",
    )
    return {name: getattr(report, name) for name in names}
