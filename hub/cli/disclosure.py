"""``hub disclosure``: what is public by the hub's record, by the channel's own, and what differs."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from hub import wiring
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import on_record
from hub.disclosure.reconcile import Comparison, Difference
from hub.domain.disclosed import State, Step
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.settings import Settings

app = typer.Typer(help="公示 / what is public, and whether the channels agree", no_args_is_help=True)

Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="渠道 / channel of the map")]
_KINDS = {
    "missing": "应公示而未公示 / missing there",
    "still-public": "已撤下而仍在 / still there though withdrawn",
    "other-version": "版本不一致 / another version there",
    "unknown": "来源不明 / unknown to us",
}


@app.command("list")
def list_public(
    channel: Annotated[str | None, typer.Argument(metavar="CHANNEL", help="渠道 / channel of the map")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What is public by the hub's record: counts of each channel, or every record of one. Exit 1 if any was refused.

    A record whose withdrawal was refused is `stuck`: it may be public still, and is named with the reason.
    """
    with errors_as_sentences():
        states = wiring.public_states(settings_of(data), channel)
    if as_json:
        print_json([_plain(state) for state in states])
    elif channel is None:
        for name in sorted({state.channel for state in states}):
            typer.echo(f"{name}\t{_counts(state for state in states if state.channel == name)}")
    else:
        for state in states:
            if state.is_public:
                typer.echo("\t".join([
                    state.correlation_id, state.subject, f"v{state.sequence}", state.public_reference or "",
                    instant_text(state.since) if state.since else "",
                ]))  # fmt: skip
    if not as_json:
        for state in states:
            if (step := state.stuck) is not None:
                typer.echo("\t".join([
                    "! 撤下被拒，可能仍公示 / withdrawal refused, may be public still", state.channel,
                    state.correlation_id, state.subject, f"v{step.sequence}", step.reason or "",
                ]))  # fmt: skip
    raise typer.Exit(1 if any(state.standing in ("refused", "stuck") for state in states) else 0)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="SUBJECT|CORRELATION_ID", help="主体代码或关联编号 / code or record")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Every order of an enterprise or of one record, on every channel, and how it ended. Exit 1 if there is none."""
    with errors_as_sentences():
        settings = settings_of(data)
        found = wiring.public_states(settings, subject=name)
        found = found or [state for state in wiring.public_states(settings) if state.correlation_id == name]
    if not found:
        typer.echo(f"hub: No order was ever given for {name!r}, neither as a subject nor as a record.", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json([_plain(state, with_steps=True) for state in found])
    else:
        for state in found:
            place = f", {state.public_reference}" if state.public_reference else ""
            typer.echo(f"\n{state.channel}  {state.correlation_id}  {state.subject}  {state.standing}{place}")
            for step in state.steps:
                typer.echo(_line(step))


@app.command("reconcile")
def reconcile(
    channel: Channel,
    mend: Annotated[bool, typer.Option("--mend", help="重发所需指令 / give the needed orders again")] = False,
    reason: Annotated[str, typer.Option(help="重发理由 / why")] = "",
    by: Annotated[str, typer.Option(help="要求人 / who asks for it")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What should be public against what the channel says is. Exit 1 if they differ, also when it is being mended."""
    with errors_as_sentences():
        if mend:
            _check_words(reason, by)
        settings = settings_of(data)
        found = wiring.reconcile(settings, channel)
        given = _mend(settings, channel, found, by.strip(), reason.strip()) if mend else 0
    if as_json:
        print_json({
            "channel": channel, "same": found.same, "under_way": found.under_way, "reissued": given,
            "differences": [_difference(each) for each in found.differences],
        })  # fmt: skip
    else:
        _print(found, given)
    raise typer.Exit(1 if found.differences else 0)


def _mend(settings: Settings, channel: str, found: Comparison, by: str, reason: str) -> int:
    differences = [("differences", str(len(found.differences)))]
    with on_record(settings, "disclosure.mend", channel, reason, by=by, details=differences) as outcome:
        given = wiring.mend(settings, found.differences, by=by, why=reason)
        outcome.append(f"{given} orders given again")
    return given


@app.command("withdraw")
def withdraw(
    channel: Channel,
    reason: Annotated[str, typer.Option(help="重发理由 / why")],
    by: Annotated[str, typer.Option(help="要求人 / who asks for it")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Gives every withdrawal of a channel again that it refused; what was refused first is on record."""
    with errors_as_sentences():
        _check_words(reason, by)
        settings, by, reason = settings_of(data), by.strip(), reason.strip()
        with on_record(settings, "disclosure.withdraw", channel, reason, by=by) as outcome:
            given = wiring.withdraw_again(settings, channel, by=by, why=reason)
            outcome.append(f"{given} withdrawals given again")
    if as_json:
        print_json({"channel": channel, "reissued": given})
    else:
        typer.echo(f"已重发撤下指令 / withdrawals given again: {given:,}")


def _check_words(reason: str, by: str) -> None:
    if not (reason.strip() and by.strip()):
        raise UsageError("--reason and --by are needed: both are kept on record.")
    if len(by) > 100 or len(reason) > 500:
        raise UsageError("--by has at most 100 characters, --reason 500.")


def _print(found: Comparison, given: int) -> None:
    for each in found.differences:
        there = f"there v{each.theirs}" if each.theirs is not None else "not there"
        ours = f"ours v{each.ours}" if each.ours is not None else "never ordered"
        typer.echo("\t".join([
            _KINDS[each.kind], each.correlation_id, each.subject or "", ours, there, each.public_reference or "",
        ]))  # fmt: skip
    typer.echo(
        f"一致 / same: {found.same:,}; 不一致 / differ: {len(found.differences):,}; "
        f"办理中，未判 / under way, not judged: {found.under_way:,}"
        + (f"; 已重发指令 / orders given again: {given:,}" if given else "")
    )


def _difference(each: Difference) -> dict[str, Any]:
    return {name: value for name, value in each._asdict().items() if name != "state"}


def _plain(state: State, *, with_steps: bool = False) -> dict[str, Any]:
    found = {**state._asdict(), "state": state.standing}
    del found["steps"]
    return {**found, "steps": [step._asdict() for step in state.steps]} if with_steps else found


def _counts(states: Any) -> str:
    found = Counter(state.standing for state in states)
    words = ("public", "withdrawn", "waiting", "refused", "stuck")
    return ", ".join(f"{word} {found[word]:,}" for word in words if found[word])


def _line(step: Step) -> str:
    ended = f"{step.status} {instant_text(step.received_at)}" if step.status and step.received_at else "no receipt yet"
    why = f" ({step.reason})" if step.reason else ""
    again = f" again for {step.asked_by}: {step.asked_why}" if step.reissue_of else ""
    ordered = instant_text(step.ordered_at)
    return f"  {ordered}  {step.action} v{step.sequence} ({step.event_type}){again} -> {ended}{why}"
