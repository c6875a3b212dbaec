"""A snapshot as lines for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from hub.domain.calendar import SHANGHAI
from hub.ops.snapshot import GroupState, Snapshot

#: Clocks at risk that a screen names.
_NAMED = 10
_WORDS = {"ok": "正常", "behind": "积压", "waits": "等候", "stalled": "停滞", "stopped": "未运行"}


def lag_lines(found: Snapshot) -> Iterator[str]:
    """Group, topic, records, age of the oldest, verdict, pace and time to catch up or what it waits for; tabs between,
    one line a topic."""
    for group in found.groups:
        records: dict[str, int] = defaultdict(int)
        ages: dict[str, list[float | None]] = defaultdict(list)
        for place in group.places:
            records[place.topic] += place.lag
            ages[place.topic].append(place.lag_seconds)
        for topic, count in records.items():
            known = [age for age in ages[topic] if age is not None]
            words = [group.group, topic, str(count), _seconds(max(known, default=None)), group.verdict, _pace(group)]
            yield "\t".join(words)
        yield from _remarks(group)


def at_risk_lines(found: Snapshot) -> Iterator[str]:
    """How many clocks fall due before which backlog is read, and the first of them."""
    for row in found.risk_counts:
        late = f"，其中 {row.late:,} 项已逾期 / {row.late:,} of them past due already" if row.late else ""
        yield (
            f"{row.rule}: {row.count:,} 项将在 {row.group} 读完积压之前到期 / "
            f"fall due before {row.group} has read its backlog{late}"
        )
    for risk in found.at_risk[:_NAMED]:
        read = f"read by {_local(risk.read_by)}" if risk.read_by else "nobody knows when it is read"
        yield f"  {_local(risk.due_at)}  {risk.rule}  {risk.subject}  {risk.clock_id}  {risk.group}, {read}"
    if (left := found.deadlines_at_risk - len(found.at_risk[:_NAMED])) > 0:
        yield f"  … {left:,} 项 / more"
    for group in found.groups:
        if group.unseen:
            yield (
                f"{group.group}: 另有 {group.unseen:,} 条未读记录未查，风险可能更多 / "
                f"{group.unseen:,} unread records were not looked at: more may be at risk"
            )


def screen(found: Snapshot) -> Iterator[str]:
    """The whole of it."""
    yield f"枢纽 / the hub at {_local(found.at)}"
    for group in found.groups:
        yield (
            f"  {_WORDS.get(group.verdict, ''):4}{group.verdict:8} {group.group:40} {group.unread:>9,} 条"
            f" {_seconds(group.lag_seconds):>9}  {_pace(group)}"
        )
        yield from _remarks(group)
    yield f"时限风险 / deadlines at risk: {found.deadlines_at_risk:,}"
    yield from at_risk_lines(found)
    letters = {topic: count for topic, count in found.dead_letters.items() if count}
    yield "死信 / dead letters: " + (", ".join(f"{topic} {count:,}" for topic, count in letters.items()) or "0")
    yield "未报送来源 / silent sources: " + (", ".join(found.silent_sources) or "0")
    for outlet, steps in found.probes.items():
        said = ", ".join(f"{step} {_seconds(seconds)}" for step, seconds in steps.items())
        yield f"探测 / probe {outlet}: {said}"


def _remarks(group: GroupState) -> Iterator[str]:
    for rewind in group.rewinds:
        place = f"{rewind['topic']}/{rewind['partition']}"
        yield f"  {group.group}: {place} 回退 / went back from {rewind['from_offset']} to {rewind['to_offset']}"
    if group.lost:
        yield f"  {group.group}: {group.lost:,} 条未读即被清除 / were gone before they were read"
    still = [f"{place.topic}/{place.partition}" for place in group.places if place.is_still]
    if still and group.verdict == "behind":
        yield f"  {group.group}: 停在原处 / hold their oldest record: {', '.join(still)}"


def _pace(group: GroupState) -> str:
    if group.verdict == "waits":
        if group.waits_until is None:
            return "待部门收取 / until the department takes it"
        return f"办公时间外 / outside of office hours, until {_local(group.waits_until)}"
    if not group.unread or group.drain_rate is None or group.arrival_rate is None:
        return ""
    catches_up = _seconds(group.catch_up_seconds) if group.catch_up_seconds is not None else "never at this pace"
    return f"{group.drain_rate:,.1f}/s of {group.arrival_rate:,.1f}/s, caught up: {catches_up}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds >= 86400:
        return f"{seconds / 86400:.1f} d"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
