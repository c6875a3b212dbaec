"""``hub dead-letters``: what could not be processed, by its cause, and another try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, cast, get_args

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, moment_of, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.domain.characters import mask_personal
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.ops.dead_letters import DeadLetterDesk, Preview, Wanted
from hub.ops.letter_content import Content, View
from hub.ops.letters import Group, Letter, groups_of

app = typer.Typer(help="死信 / dead letters", no_args_is_help=True)

Place = Annotated[str, typer.Argument(help="topic:partition:offset, as `list` prints it")]
Class = Annotated[str | None, typer.Option("--class", metavar="NAME", help="原因类别 / of this class of reasons")]


@contextmanager
def _desk(data: Any) -> Iterator[DeadLetterDesk]:
    settings = settings_of(data)
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-dead-letters")) as publisher:
        yield wiring.dead_letter_desk(settings, publisher)


@app.command("list")
def list_letters(
    by_reason: Annotated[bool, typer.Option("--by-reason", help="按原因归类 / one line for each class")] = False,
    stage: Annotated[str | None, typer.Option(help="环节 / of this stage alone")] = None,
    class_name: Class = None,
    everything: Annotated[bool, typer.Option("--all", help="包括已重新投递的 / also those that were put back")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters that nobody put back yet, the oldest first. Exit 1 if there are any."""
    with errors_as_sentences(), _desk(data) as desk:
        found = desk.letters(stage=stage, class_name=class_name)
    is_open = any(letter.status != "redriven" for letter in found)
    shown = [letter for letter in found if everything or letter.status != "redriven"]
    if as_json:
        print_json([_group(each) for each in groups_of(shown)] if by_reason else [_describe(each) for each in shown])
    elif by_reason:
        for group in groups_of(shown):
            back = f"{group.came_back} came back" if group.came_back else ""
            typer.echo("\t".join((
                group.class_name, str(group.open), back, instant_text(group.oldest), instant_text(group.newest),
                group.exception, group.message,
            )))
    else:
        for letter in shown:
            state = "came back" if letter.status == "open" and letter.earlier else letter.status
            typer.echo("\t".join((str(letter.spot), letter.event_type, state, letter.exception, letter.message)))
    raise typer.Exit(1 if is_open else 0)


@app.command()
def show(
    place: Place,
    why: Annotated[str | None, typer.Option("--why", help="查看内容的目的 / for what its content is looked at")] = None,
    view: Annotated[str, typer.Option(help="视图 / the view in which it is shown: public or partner")] = "public",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter: headers and reason. With --why also its content, masked; that look is on record."""
    with errors_as_sentences(), _desk(data) as desk:
        if view not in get_args(View):
            raise UsageError(f"--view is one of {', '.join(get_args(View))}, not {view!r}.")
        letter, record = desk.find(place)
        content = desk.look(place, this_actor(), why, cast(View, view)) if why is not None else None
    headers = {name: mask_personal(value.decode("utf-8", "replace")) for name, value in record.headers}
    described = _describe(letter) | {"headers": headers}
    if content is not None:
        described["content"] = _content(content)
    if as_json:
        print_json(described)
        return
    for name, value in described.items():
        if isinstance(value, dict):
            for inner, text in value.items():
                typer.echo(f"{name:10} {inner}: {text}")
        else:
            typer.echo(f"{name:10} {value}")


@app.command()
def redrive(
    place: Annotated[str | None, typer.Argument(help="topic:partition:offset, as `list` prints it")] = None,
    class_name: Class = None,
    is_all: Annotated[bool, typer.Option("--all", help="全部 / all that nobody put back yet")] = False,
    since: Annotated[str | None, typer.Option(help="此刻以后的 / those that failed from this moment on")] = None,
    again: Annotated[bool, typer.Option("--again", help="已投递过的也再投 / also those that were put back")] = False,
    request: Annotated[str | None, typer.Option(metavar="ID", help="执行已批准的申请 / what was approved")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只预览 / shows what would be done")] = False,
    reason: Annotated[str, typer.Option(help="原因 / why; it stays on record")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Puts letters back where they came from, with their bytes and ids; repeats are absorbed. Mend the cause first.

    With --all, and of more than 100, a second person has to approve: the command then asks and does nothing (exit 1).
    """
    with errors_as_sentences(), _desk(data) as desk:
        if request is not None:
            if place or class_name or is_all or since or again or dry_run:
                raise UsageError("--request says by itself what is put back: name nothing else.")
            with wiring.open_acts(settings_of(data)) as acts:
                asked = acts.find(request)
            _said_done(desk.redrive(asked, this_actor()), asked.asked.request_id, as_json)
            return
        wanted = Wanted(place, class_name, is_all, moment_of(since), again)
        preview = desk.preview(wanted)
        if dry_run:
            _print_preview(preview, as_json)
            return
        if not reason.strip():
            raise UsageError("--reason must say why.")
        if place is not None and not preview.letters:
            raise UsageError(f"{place} does not say where it came from, or not a topic of the map.")
        if not preview.letters:
            _said_done(0, None, as_json)
            return
        asked = desk.ask(wanted, preview, this_actor(), reason)
        if not preview.needs_second:
            _said_done(desk.redrive(asked, this_actor()), asked.asked.request_id, as_json)
            return
    request_id = asked.asked.request_id
    if as_json:
        print_json({"request": request_id, "waits_for_second": True, "count": preview.count})
    else:
        _print_preview(preview, as_json)
        typer.echo(f"等待另一人批准 / another person has to approve: hub acts approve {request_id} --reason WHY")
        typer.echo(f"批准后 / then: hub dead-letters redrive --request {request_id}")
    raise typer.Exit(1)


def _said_done(count: int, request_id: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"redriven": count, "request": request_id})
    else:
        typer.echo(f"已重新投递 / put back: {count}" + (f"\t{request_id}" if request_id else ""))


def _print_preview(preview: Preview, as_json: bool) -> None:
    if as_json:
        plain = {name: getattr(preview, name) for name in preview.__slots__ if name != "letters"}
        print_json({"count": preview.count, **plain})
        return
    typer.echo(f"将重新投递 / to be put back: {preview.count}")
    if preview.oldest is not None and preview.newest is not None:
        typer.echo(f"  {instant_text(preview.oldest)} … {instant_text(preview.newest)}")
    for name, count in preview.by_class.items():
        typer.echo(f"  {name}\t{count}")
    for topic, count in preview.to.items():
        typer.echo(f"  -> {topic}\t{count}")
    for words, count in (
        ("曾投递又失败 / put back before and failed again", preview.came_back),
        ("已投递 / put back already", preview.redriven),
        ("无处可投 / do not say where they came from", preview.without_origin),
    ):
        if count:
            typer.echo(f"  {words}\t{count}")
    if preview.needs_second:
        typer.echo("  须另一人批准 / a second person has to approve")


def _describe(letter: Letter) -> dict[str, Any]:
    return {
        "place": str(letter.spot),
        "id": letter.event_id,
        "type": letter.event_type,
        "class": letter.class_name,
        "reason": letter.exception,
        "message": letter.message,
        "from": str(letter.origin) if letter.origin else "",
        "failed_at": instant_text(letter.failed_at),
        "bytes": letter.size,
        "rule_version": letter.rule_version,
        "status": letter.status,
        "request": letter.request_id,
        "earlier": letter.earlier,
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "class": group.class_name, "stage": group.stage, "reason": group.exception, "message": group.message,
        "rule_version": group.rule_version, "count": group.count, "open": group.open, "came_back": group.came_back,
        "oldest": group.oldest, "newest": group.newest,
    }


def _content(content: Content) -> dict[str, Any]:
    if content.fields is not None:
        return {"schema": content.schema, **content.fields}
    return {"schema": content.schema, "bytes": content.size, "sha256": content.digest, "note": content.note}
