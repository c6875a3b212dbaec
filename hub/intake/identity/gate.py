"""Intake's question to the register: whose is a row without a valid code?

Rows with a valid code pass by on one look-up in their own fields. For the others the register in memory is asked;
nothing here asks Redis. What is certain goes on with the code found, what is not waits, and nobody goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from hub.bus.records import Output
from hub.domain.characters import mask_personal
from hub.domain.enterprise_register import EnterpriseRegister
from hub.domain.events import entity_id, event_id
from hub.domain.identifiers import is_uscc, judge
from hub.domain.matching import Match, Party
from hub.intake.identity.waits import Offer, Wait, WaitLog
from hub.intake.rows import Problem, Row, RowFault
from hub.intake.tentative import tentative
from hub.intake.versions import EventWriter, Identified, Identity, unfit
from hub.state.seen_index import SeenRow

#: Names of the nearest enterprises that a sender is told.
_TOLD = 3


class Uncertain(NamedTuple):
    """A person has to say whose it is; ``warning`` tells the sender."""

    match: Match
    warning: Problem


class IdentityGate:
    """Of one source. ``waits`` are those of the source by id, as the log has them; kept are those that wait and
    those that a person decided on, some 2 KB and 1 KB each. Used by the source's thread."""

    def __init__(
        self, source: str, writer: EventWriter, log: WaitLog, register: EnterpriseRegister, waits: dict[str, Wait]
    ) -> None:
        self._source, self._writer, self._log = source, writer, log
        self.register = register
        self.waits: dict[str, Wait] = {}
        self.take_up(waits)

    def take_up(self, waits: Mapping[str, Wait]) -> None:
        """These are the waits of the source now."""
        self.waits = {id: wait for id, wait in waits.items() if wait.state != "superseded"}

    def waiting(self, item: Identified) -> Wait | None:
        """The wait of this very content, which goes on or ended with nobody; ``None`` where it never waited or a
        person said whose it is."""
        wait = self.waits.get(entity_id(self._writer.uri, item.natural))
        return wait if wait is not None and wait.digest == item.digest.hex() and wait.state != "matched" else None

    def doubts(self, row: Row) -> bool:
        """Whether the row does not say for certain whose it is."""
        value = row.value
        code = value.get("party_uscc")
        if code is not None:
            # A code that failed its check came with a warning; a removal has lost it.
            return (bool(row.warnings) or row.is_removed) and not is_uscc(code)
        # Persons are known by their certificates and in no register of enterprises.
        return value.get("party_kind") != "01" and not value.get("party_certificate_number")

    def judge(self, item: Identified) -> Identity | Uncertain | RowFault | None:
        """Whose it is; ``None`` leaves the row as it is given (a registration number that nobody had)."""
        row = item.row
        value = row.value
        number = value.get("party_registration_number")
        if number and row.unread_code is None and value.get("party_uscc") is None:
            code = self.register.code_of_registration(number)
            return None if code is None else Identity(code, "register", "registration number equal")
        decided = self._decided(item)
        if decided is not None:
            return decided
        found = self.register.match(Party(
            value.get("party_name") or "", row.unread_code or value.get("party_uscc"), number,
            value.get("region_code"), value.get("legal_representative"),
        ))
        if found.verdict == "match":
            return Identity(found.candidates[0].enterprise.uscc, "register", found.reason)
        nearest = "、".join(each.enterprise.name for each in found.candidates[:_TOLD])
        if found.verdict == "band":
            problem = f"当事人尚不能确定，已转人工确认；名录中相近的企业：{nearest}"
            return Uncertain(found, Problem("identity-waits", None, "party_uscc", None, problem, _REMEDY))
        hint = f"；名录中名称最接近的：{nearest}" if nearest else ""
        return unfit(row, f"没有有效的统一社会信用代码，且企业登记名录中没有相符的企业{hint}", _REMEDY, "identity")

    def _decided(self, item: Identified) -> Identity | None:
        """A person's word on an earlier content of this very row, as long as what it calls its party is the same."""
        wait = self.waits.get(entity_id(self._writer.uri, item.natural))
        if wait is None or wait.state != "matched" or wait.uscc is None:
            return None
        if (wait.party_name, wait.given_code) != (_name(item.row), _given_code(item.row)):
            return None
        return Identity(wait.uscc, "person", "a person decided so of this row before", wait.decision_id)

    def wait(
        self, item: Identified, before: SeenRow | None, match: Match, now: datetime
    ) -> tuple[Output, SeenRow]:
        """The record of a row that waits, and what the index holds of it. ``before`` is what was published last.

        Raises ContractError when the row does not fit its schema whoever it is.
        """
        row, natural, key, digest = item
        topic, encode = self._writer.target(row.kind)
        after = tentative(before, digest, row.state_type)
        prior = before.state if before else ""
        wait = Wait(
            wait_id=entity_id(self._writer.uri, natural),
            event_id=event_id(self._writer.uri, natural, after.version),
            state="waiting", source=self._source, topic=topic, version=after.version,
            event_type=row.state_type if prior != row.state_type else row.amended_type,
            row_state=row.state_type, prior_state=prior, natural_key=key.hex(), digest=digest.hex(),
            party_name=_name(row), given_code=_given_code(row), region_code=row.value.get("region_code"),
            reason=match.reason[:500],
            candidates=tuple(
                Offer(each.enterprise.uscc, each.enterprise.name, each.points, each.explanation()[:2000])
                for each in match.candidates
            ),
            file=row.place.file[:500], sheet=row.place.sheet and row.place.sheet[:200], row=row.place.row,
            data=encode({**row.value, "party_uscc": None}), since=now, changed_at=now,
        )  # fmt: skip
        self.waits[wait.wait_id] = wait
        return self._log.wait(wait, self._writer.uri), after

    def end(self, item: Identified, now: datetime) -> Output | None:
        """The record that a wait is over because the row has another content, or is gone; ``None`` if none waits."""
        wait = self.waits.get(entity_id(self._writer.uri, item.natural))
        return None if wait is None or wait.state != "waiting" else self.change(wait, now, state="superseded")

    def change(self, wait: Wait, now: datetime, **more: Any) -> Output:
        """The record of a new state of a wait."""
        # Its content has gone where it goes; nobody decides on it any more.
        changed = replace(wait, changed_at=now, data=b"", **more)
        if changed.state == "superseded":
            self.waits.pop(wait.wait_id, None)
        else:
            self.waits[wait.wait_id] = changed
        return self._log.wait(changed, self._writer.uri)


_REMEDY = "请填写营业执照上的 18 位统一社会信用代码后重新报送"


def _name(row: Row) -> str:
    return str(row.value.get("party_name") or "")[:200]


def _given_code(row: Row) -> str | None:
    code = row.unread_code or row.value.get("party_uscc")
    if code is None:
        return None
    return str(code) if judge(code).kind == "uscc" else mask_personal(str(code))[:100]


