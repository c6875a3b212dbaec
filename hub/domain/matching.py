"""Who is meant by a row that has no valid code: a score that says out of what it is made.

Evidence is weighed, each piece with its points (they are hundredths, so that they add up exactly):

====================  =======================================================================================
name                  60 equal after normalisation, 50 where one has no form of organisation or it is a
                      former name, 40 with another form; else half its similarity from 0.7 on; else -20
only one              20 if no other enterprise of the register has that name and the register keeps such
                      names apart (companies, cooperatives), 10 for others (households)
code                  45 one character wrong or two neighbours transposed, 50 look-alikes read as what they
                      stand for, 50 an organisation code or tax number that is part of it, 40 one character
                      missing or too many, 20 two wrong; -40 where it is another code altogether
region                10 the same county; -30 another, if the name itself says so; else -5
legal representative  25 the same; 10 the same but for one character of four or more (transliterations of
                      Tibetan names vary); -15 another
====================  =======================================================================================

A *match* needs 80 points, 20 more than the next candidate, and an anchor: the name equal, or the code almost
and the name at least similar. Two enterprises of one name are therefore never told apart by the name alone.
From 45 on it is for a person (*band*), below there is *none*. The numbers are a judgement of what a clerk would
accept, set so that each rule in ``tests/unit/test_matching.py`` holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA

from hub.domain.enterprise_names import EnterpriseName, NameReader, plain_person
from hub.domain.identifiers import judge, normalise

Verdict = Literal["match", "band", "none"]

#: Points of a match, of its lead over the next candidate, and from which a person is asked.
MATCH, LEAD, BAND = 80, 20, 45
#: From this similarity on a name says something.
SIMILAR = 0.7
#: Candidates that a person is shown.
SHOWN = 5


class Enterprise(NamedTuple):
    """One enterprise of the register. ``uscc`` is its code; ``region`` the code of its county."""

    uscc: str
    name: str
    region: str
    legal_representative: str | None = None
    registration_number: str | None = None
    former_names: tuple[str, ...] = ()


class Party(NamedTuple):
    """What a row says of the enterprise. ``code`` is what stood in the column of the code, as it was written;
    ``region`` that of the row, used where the name names none."""

    name: str
    code: str | None = None
    registration_number: str | None = None
    region: str | None = None
    legal_representative: str | None = None


class Evidence(NamedTuple):
    """``kind`` is a word of the table above; ``says`` what was found, without any value; ``points`` of 100."""

    kind: str
    says: str
    points: int

    def __str__(self) -> str:
        return f"{self.says} {self.points / 100:.2f}"


class Candidate(NamedTuple):
    """``is_anchored`` says that name or code carry the match."""

    enterprise: Enterprise
    evidence: tuple[Evidence, ...]
    is_anchored: bool

    @property
    def points(self) -> int:
        return sum(each.points for each in self.evidence)

    def explanation(self) -> str:
        """The evidence as a sentence; no name and no number of a person stands in it."""
        return "; ".join(map(str, self.evidence))


class Match(NamedTuple):
    """``candidates`` are the best, the likeliest first; ``reason`` says in words why it is that verdict."""

    verdict: Verdict
    candidates: tuple[Candidate, ...]
    reason: str


class Matcher:
    """Weighs candidates. ``names`` reads names with the regions that it knows."""

    def __init__(self, names: NameReader) -> None:
        self._names = names

    def decide(self, party: Party, candidates: Sequence[Enterprise]) -> Match:
        """The verdict over all that may be meant; the same whatever the order of ``candidates``."""
        name = self._names.read(party.name)
        like_named = [each for each in candidates if self._is_name_of(name, each)]
        weighed = sorted(
            (self._weigh(party, name, each, len(like_named)) for each in candidates),
            key=lambda each: (-each.points, each.enterprise.uscc),
        )
        best = weighed[0] if weighed else None
        shown = tuple(weighed[:SHOWN])
        if best is None or best.points < BAND:
            return Match("none", shown, "nobody in the register is like enough")
        if best.points < MATCH:
            return Match("band", shown, f"{best.points / 100:.2f} of {MATCH / 100:.2f} points")
        if not best.is_anchored:
            return Match("band", shown, "neither is the name equal nor the code almost")
        if len(weighed) > 1 and best.points - weighed[1].points < LEAD:
            return Match("band", shown, "another enterprise is as likely")
        return Match("match", shown, best.explanation())

    def _is_name_of(self, name: EnterpriseName, enterprise: Enterprise) -> bool:
        """Whether the enterprise is, or was, called so: another region in the name is another name."""
        for called in (enterprise.name, *enterprise.former_names):
            other = self._names.read(called)
            if other.core == name.core and not (name.region and _are_apart(name.region, enterprise.region)):
                return True
        return False

    def _weigh(self, party: Party, name: EnterpriseName, enterprise: Enterprise, like_named: int) -> Candidate:
        named, similarity = self._name(name, enterprise)
        evidence = [named]
        is_equal = similarity == 1.0
        if is_equal and like_named == 1:
            kept_apart = name.is_kept_apart or self._names.read(enterprise.name).is_kept_apart
            evidence.append(Evidence("only", "the only one of this name", 20 if kept_apart else 10))
        code = _code(party, enterprise)
        if code is not None:
            evidence.append(code)
        region = _region(party, name, enterprise)
        if region is not None:
            evidence.append(region)
        person = _person(party, enterprise)
        if person is not None:
            evidence.append(person)
        has_code = code is not None and code.points >= 40 and similarity >= SIMILAR
        return Candidate(enterprise, tuple(evidence), is_equal or has_code)

    def _name(self, name: EnterpriseName, enterprise: Enterprise) -> tuple[Evidence, float]:
        best: tuple[Evidence, float] | None = None
        for called in (enterprise.name, *enterprise.former_names):
            other = self._names.read(called)
            found = _compare(name, other, is_former=called != enterprise.name)
            if best is None or found[0].points > best[0].points:
                best = found
        assert best is not None
        return best


def _compare(name: EnterpriseName, other: EnterpriseName, *, is_former: bool) -> tuple[Evidence, float]:
    if name.core == other.core:
        if is_former:
            return Evidence("name", "name equal to a former one", 50), 1.0
        if name.form == other.form:
            return Evidence("name", "name equal after normalisation", 60), 1.0
        if not name.form or not other.form:
            return Evidence("name", "name equal but for the form of organisation", 50), 1.0
        return Evidence("name", "name equal with another form of organisation", 40), 0.99
    similarity = float(OSA.normalized_similarity(name.core, other.core))
    if similarity >= SIMILAR:
        return Evidence("name", f"name similar ({similarity:.2f})", int(similarity * 50)), similarity
    return Evidence("name", "name another", -20), similarity


def _code(party: Party, enterprise: Enterprise) -> Evidence | None:
    number = normalise(party.registration_number) if party.registration_number else ""
    if number and number == enterprise.registration_number:
        return Evidence("code", "registration number equal", 60)
    code = normalise(party.code) if party.code else ""
    if not any(map(str.isdigit, code)):
        return None  # a remark, no code
    uscc = enterprise.uscc
    if code == enterprise.registration_number:
        return Evidence("code", "registration number equal", 60)
    if (len(code) == 9 and code == uscc[8:17]) or (len(code) == 15 and code == uscc[2:17]):
        return Evidence("code", "organisation code equal", 50)
    if judge(code).repair == uscc:
        return Evidence("code", "code equal once look-alikes are read as what they stand for", 50)
    apart = int(OSA.distance(code, uscc, score_cutoff=2))
    if apart == 0:
        return Evidence("code", "code equal", 60)
    if apart == 1:
        if len(code) != len(uscc):
            return Evidence("code", "one character of the code missing or too many", 40)
        wrong = sum(a != b for a, b in zip(code, uscc, strict=True))
        says = "one character of the code wrong" if wrong == 1 else "two neighbours of the code transposed"
        return Evidence("code", says, 45)
    if apart == 2:
        return Evidence("code", "two characters of the code wrong", 20)
    return Evidence("code", "code another", -40)


def _are_apart(region: str, other: str) -> bool:
    """Whether the two are different counties; a prefecture is apart from none of its own."""
    if region.endswith("00") or other.endswith("00"):
        return region[:4] != other[:4]
    return region != other


def _region(party: Party, name: EnterpriseName, enterprise: Enterprise) -> Evidence | None:
    region = name.region or party.region
    if not region:
        return None
    if _are_apart(region, enterprise.region):
        return Evidence("region", "region another", -30 if name.region else -5)
    if region.endswith("00") or enterprise.region.endswith("00"):
        return None
    return Evidence("region", "region equal", 10)


def _person(party: Party, enterprise: Enterprise) -> Evidence | None:
    if not party.legal_representative or not enterprise.legal_representative:
        return None
    ours, theirs = plain_person(party.legal_representative), plain_person(enterprise.legal_representative)
    if ours == theirs:
        return Evidence("legal representative", "legal representative the same", 25)
    if min(len(ours), len(theirs)) >= 4 and OSA.distance(ours, theirs) == 1:
        return Evidence("legal representative", "legal representative the same but for one character", 10)
    return Evidence("legal representative", "legal representative another", -15)
