"""``hub connect form``: the form by which a clerk enters events of a type by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import AsJson, errors_as_sentences, print_json, settings_of

if TYPE_CHECKING:
    from hub.intake.forms import FormField

#: So many choices are listed in a line; JSON has them all.
_SHOWN_CODES = 6


def form(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="事件类型 / e.g. inspection.result.recorded")],
    as_json: AsJson = False,
) -> None:
    """The entry form of an event type: fields, titles, choices, what is required. With --json for a portal."""
    with errors_as_sentences():
        from hub import wiring
        from hub.wiring.http_intake import entry_form

        settings = settings_of()
        catalog = wiring.open_catalog(settings)
        found = entry_form(type_, wiring.open_map(settings, catalog), catalog)
    if as_json:
        print_json(found.as_dict())
        return
    typer.echo(f"{found.title}\t{found.type}\t{found.schema} v{found.version}")
    for line in _lines((found.number, *found.fields), ""):
        typer.echo(line)


def _lines(fields: tuple[FormField, ...], before: str) -> Iterator[str]:
    for field in fields:
        mark = "必填" if field.is_required else ""
        codes = [f"{code} {title}" for code, title in field.codes.items()]
        more = f" …（{len(codes)}）" if len(codes) > _SHOWN_CODES else ""
        shown = "、".join(codes[:_SHOWN_CODES]) + more
        yield "\t".join((f"{before}{field.name}", field.title, field.kind, mark, field.help, shown)).rstrip()
        yield from _lines(field.fields, f"{before}{field.name}.")
