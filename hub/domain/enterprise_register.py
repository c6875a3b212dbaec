"""The register of enterprises in memory, and who of it may be meant by a row.

Found are all of an equal name, all whose code is one slip of the pen away, and those whose names share the
rarest pairs of letters. Some 1 KB an enterprise: 100 MB for 100,000, more than Gannan has. A row costs 5 to 8 ms then.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from sys import intern

from hub.domain.check_digits import ALPHABET
from hub.domain.enterprise_names import NameReader
from hub.domain.identifiers import judge, normalise
from hub.domain.matching import Enterprise, Match, Matcher, Party

#: Most candidates that are weighed for a row; a name that more enterprises share says nothing by itself.
MOST_CANDIDATES = 60
#: Entries of the index of pairs that are looked at for a row: pairs as frequent as 公司 cost and say nothing.
_MOST_POSTINGS = 20_000


class EnterpriseRegister:
    """Filled with ``put``, asked with ``match``. One thread writes; readers of other threads see each enterprise
    before or after its change."""

    def __init__(self, names: NameReader) -> None:
        self._names, self._matcher = names, Matcher(names)
        self._by_code: dict[str, Enterprise] = {}
        self._by_number: dict[str, str] = {}
        self._by_part: dict[str, list[str]] = {}
        self._by_core: dict[str, list[str]] = {}
        self._places: list[str | None] = []
        self._place_of: dict[str, int] = {}
        self._pairs: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self._by_code)

    def get(self, uscc: str) -> Enterprise | None:
        return self._by_code.get(uscc)

    def code_of_registration(self, number: str) -> str | None:
        """The USCC of whoever had that registration number."""
        return self._by_number.get(number)

    def put(self, enterprise: Enterprise) -> None:
        """Adds an enterprise, or its newer entry in place of the older."""
        uscc = intern(enterprise.uscc)
        self.drop(uscc)
        self._by_code[uscc] = enterprise
        if enterprise.registration_number:
            self._by_number[enterprise.registration_number] = uscc
        self._by_part.setdefault(uscc[8:17], []).append(uscc)
        place = self._place_of[uscc] = len(self._places)
        self._places.append(uscc)
        for core in self._cores(enterprise):
            self._by_core.setdefault(core, []).append(uscc)
            for pair in _pairs(core):
                self._pairs.setdefault(pair, array("I")).append(place)

    def drop(self, uscc: str) -> None:
        """Forgets an enterprise; one that is not there is no error."""
        old = self._by_code.pop(uscc, None)
        if old is None:
            return
        # Its pairs stay in their lists and lead to nobody.
        self._places[self._place_of.pop(uscc)] = None
        if old.registration_number:
            self._by_number.pop(old.registration_number, None)
        self._by_part[uscc[8:17]].remove(uscc)
        for core in self._cores(old):
            self._by_core[core].remove(uscc)

    def match(self, party: Party) -> Match:
        """Who is meant, with the reasons."""
        found = dict.fromkeys(self._candidates(party))
        entries = (self._by_code.get(uscc) for uscc in found)
        return self._matcher.decide(party, [entry for entry in entries if entry is not None])

    def _cores(self, enterprise: Enterprise) -> set[str]:
        return {self._names.read(name).core for name in (enterprise.name, *enterprise.former_names)}

    def _candidates(self, party: Party) -> Iterable[str]:
        core = self._names.read(party.name).core
        yield from self._by_core.get(core, ())
        yield from self._by_a_slip(party)
        yield from self._like_named(core)

    def _by_a_slip(self, party: Party) -> Iterator[str]:
        if party.registration_number:
            uscc = self._by_number.get(normalise(party.registration_number))
            if uscc:
                yield uscc
        code = normalise(party.code) if party.code else ""
        if code in self._by_number:
            yield self._by_number[code]
        if len(code) == 9 or len(code) == 15:
            yield from self._by_part.get(code[-9:], ())
        if not 17 <= len(code) <= 19:
            return
        repair = judge(code).repair
        yield from (uscc for uscc in (code, repair, *_slips(code)) if uscc in self._by_code)

    def _like_named(self, core: str) -> list[str]:
        lists = sorted((self._pairs[pair] for pair in set(_pairs(core)) if pair in self._pairs), key=len)
        shared: Counter[int] = Counter()
        looked_at = 0
        for places in lists:
            looked_at += len(places)
            if looked_at > _MOST_POSTINGS and shared:
                break
            shared.update(places[:_MOST_POSTINGS])
        nearest = shared.most_common(MOST_CANDIDATES)
        return [uscc for place, _ in nearest if (uscc := self._places[place]) is not None]


def _pairs(core: str) -> list[str]:
    return [intern(core[at : at + 2]) for at in range(max(1, len(core) - 1))]


def _slips(code: str) -> Iterator[str]:
    """Every code of 18 characters that one slip of the pen makes into ``code``."""
    if len(code) == 18:
        for at, char in enumerate(code):
            yield from (code[:at] + other + code[at + 1 :] for other in ALPHABET if other != char)
            if at and code[at - 1] != char:
                yield code[: at - 1] + char + code[at - 1] + code[at + 1 :]
    elif len(code) == 17:
        for at in range(18):
            yield from (code[:at] + other + code[at:] for other in ALPHABET)
    else:
        yield from (code[:at] + code[at + 1 :] for at in range(19))
