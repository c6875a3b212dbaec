"""Acts on record: what counts, who may approve, and that nobody acts alone where two are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.acts import (
    APPROVAL_TERM,
    USE_TERM,
    Act,
    Actor,
    Request,
    fold,
    is_same_person,
    new_act,
    next_step,
    status_of,
    taken,
    why_not,
    why_not_used,
)
from hub.errors import InputError

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LI, WANG, ZHAO = (Actor(name, "command") for name in ("lisi", "wangwu", "zhaoliu"))
MINUTE = timedelta(minutes=1)


def asked(*, needs_second: bool = True, **content: Any) -> Act:
    given = {"kind": "notices.replay", "who": LI, "target": "land-grants", "reason": "接收系统丢了数据", "at": NOW}
    return new_act(**{**given, **content}, needs_second=needs_second)


def only(*steps: Act) -> Request:
    (request,) = fold(steps).values()
    return request


def test_what_one_person_may_do_is_asked_and_done() -> None:
    first = asked(needs_second=False)
    done = next_step(only(first), "done", LI, NOW + MINUTE, outcome="3 sent")
    request = only(first, done, done)
    assert (request.state, request.steps, request.passed_over) == ("done", [first, done], ())
    again = next_step(request, "failed", LI, NOW + 2 * MINUTE)
    assert why_not(request, again) == "it is done already"


def test_two_persons_and_the_first_of_the_log_wins() -> None:
    first = asked()
    by_wang = next_step(only(first), "approved", WANG, NOW + MINUTE, reason="属实")
    by_zhao = next_step(only(first), "approved", ZHAO, NOW + MINUTE, reason="同意")
    no = next_step(only(first), "refused", ZHAO, NOW + MINUTE, reason="不同意")
    request = only(first, by_wang, by_zhao, no)
    assert (request.state, request.approved_by) == ("approved", "wangwu")
    assert [why for _, why in request.passed_over] == ["it is approved by wangwu already"] * 2
    assert only(first, no, by_wang).state == "refused"
    done = next_step(request, "done", LI, NOW + 2 * MINUTE)
    assert (done.approved_by, only(first, by_wang, done).state) == ("wangwu", "done")
    assert "nobody else approved it" in str(only(first, done).passed_over)


@pytest.mark.parametrize("spelling", [
    "lisi", "LISI", " lisi ", "LiSi", "ｌｉｓｉ", "li.si", "li\u200bsi", "l\u00ecsi", "li_si",
])  # fmt: skip
def test_nobody_approves_his_own_request_under_another_spelling(spelling: str) -> None:
    first = asked()
    step = next_step(only(first), "approved", Actor(spelling, "console"), NOW + MINUTE, reason="同意")
    request = only(first, step)
    assert request.state == "asked"
    assert "another person has to approve" in request.passed_over[0][1]


def test_others_are_others() -> None:
    assert not is_same_person("lisi", "lisi2") and not is_same_person("扎西", "卓玛")
    assert is_same_person("扎西", "扎 西")


def test_an_approval_is_of_what_was_asked_and_in_time() -> None:
    first = asked()
    approval = next_step(only(first), "approved", WANG, NOW + MINUTE, reason="同意")
    other = approval._replace(content_digest=asked(target="works-bidding").content_digest)
    assert "something else" in only(first, other).passed_over[0][1]
    # Somebody writes the request anew under its id: what was asked first is what counts.
    changed = asked(target="works-bidding")._replace(request_id=first.request_id, act_id="another")
    assert only(first, changed, approval).asked.target == "land-grants"
    late = next_step(only(first), "approved", WANG, NOW + APPROVAL_TERM, reason="同意")
    assert "expired" in only(first, late).passed_over[0][1]
    assert not only(first).waits(NOW + APPROVAL_TERM)
    assert status_of(only(first), NOW + APPROVAL_TERM) == "expired"
    assert only(first, next_step(only(first), "approved", WANG, late.at - MINUTE, reason="同意")).state == "approved"


def test_an_approval_is_used_within_its_term_and_again_after_a_failure() -> None:
    first = asked()
    approval = next_step(only(first), "approved", WANG, NOW, reason="同意")
    request = only(first, approval)
    assert why_not_used(request, NOW + USE_TERM - MINUTE) is None
    assert "expired" in str(why_not_used(request, NOW + USE_TERM))
    assert "not approved" in str(why_not_used(only(first), NOW))
    failed = taken(request, next_step(request, "failed", LI, NOW + MINUTE, outcome="Kafka 不可用"))
    assert (failed.state, why_not_used(failed, NOW + MINUTE)) == ("failed", None)
    done = taken(failed, next_step(failed, "done", LI, NOW + 2 * MINUTE))
    assert (done.state, why_not_used(done, NOW + 2 * MINUTE)) == ("done", "it is done already")


def test_steps_of_requests_that_nobody_asked_make_none() -> None:
    first = asked()
    approval = next_step(only(first), "approved", WANG, NOW, reason="同意")
    done = next_step(only(first, approval), "done", WANG, NOW)
    assert fold([approval, done]) == {}
    look = new_act("record.look", LI, "dead letter", "核对", NOW, state="done")
    assert only(look).state == "done"


@pytest.mark.parametrize(("changed", "said"), [
    ({"kind": "replay"}, "kind"), ({"kind": "Notices.Replay"}, "kind"), ({"reason": " "}, "reason"),
    ({"target": ""}, "target"), ({"who": Actor(" \u200b", "command")}, "actor"), ({"reason": "因" * 2001}, "reason"),
    ({"details": [("how", "x" * 1001)]}, "detail how"), ({"state": "done"}, "asked"), ({"state": "approved"}, "asked"),
    ({"who": Actor("lisi", "phone")}, "way"),  # type: ignore[arg-type]  # what only a fault of ours would say
])  # fmt: skip
def test_what_is_missing_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        asked(**changed)


NAMES = st.sampled_from(["lisi", "LISI", "li si", "ｌｉｓｉ", "Li.Si"])
MOVES = st.lists(st.tuples(st.sampled_from(["approved", "refused", "done", "failed", "asked"]), NAMES, st.booleans()))


@given(MOVES)
def test_no_sequence_of_steps_lets_somebody_act_alone(moves: list[tuple[Any, str, bool]]) -> None:
    """Whatever one person writes, under any spelling, forged approvals among it: it is never approved nor done."""
    first = asked()
    request, steps = only(first), [first]
    for number, (state, name, is_forged) in enumerate(moves):
        step = next_step(request, state, Actor(name, "console"), NOW + number * MINUTE, reason="再试")
        if is_forged:
            step = step._replace(approved_by="wangwu")
        steps.append(step)
        request = taken(request, step)
        assert request.state in ("asked", "refused")
        assert why_not_used(request, NOW) is not None
    assert only(*steps) == request


@given(MOVES, st.integers(0, 20))
def test_a_second_person_counts_wherever_he_comes(moves: list[tuple[Any, str, bool]], place: int) -> None:
    """With one approval of another among them it is done only after that."""
    request = only(asked())
    for number, (state, name, _) in enumerate(moves):
        if number == place:
            request = taken(request, next_step(request, "approved", WANG, NOW + number * MINUTE, reason="同意"))
        before = request
        request = taken(
            request, next_step(request, state, Actor(name, "console"), NOW + number * MINUTE, reason="再试")
        )
        if request.state in ("done", "failed"):
            assert before.approved_by == "wangwu"
