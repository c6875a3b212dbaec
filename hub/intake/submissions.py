"""An event that a department hands in as JSON becomes a row, checked by the rules of every other way in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hub.contracts.catalog import Catalog
from hub.contracts.check import FieldFault
from hub.contracts.cloudevents_http import Incoming, invalid
from hub.contracts.codec import Schema
from hub.contracts.fields import Field
from hub.domain.characters import mask_personal
from hub.domain.identifiers import Judgement, judge
from hub.domain.plain import whole_millis
from hub.domain.problem import Fault, ProblemError, fault
from hub.domain.publicity import NONPUBLIC_REASON, PROBLEM, can_be_kept_back, lacks_reason, remedy
from hub.intake.http_sources import HttpSource
from hub.intake.rows import Place, Problem, Row
from hub.intake.versions import source_uri

MAX_NATURAL_KEY = 200
#: Elements of one list; the longest of a real record has some ten.
_MOST_ELEMENTS = 1000
_IDENTITY = "record_unique_identity"
_IDENTITY_LENGTH = 100
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SEQUENCE = re.compile(r"[1-9]\d{0,9}", re.ASCII)
_CODES: Mapping[str, tuple[str, ...]] = {
    "party_uscc": ("uscc",), "party_registration_number": ("registration",),
}
_FAILED_CHECK = frozenset({"check-digit", "organisation-check-digit", "both-check-digits"})


class Submission(NamedTuple):
    """One event that may be taken. ``row.state_type`` is empty for an amendment, which leaves the state
    as it is. ``sequence`` is the version that the caller expects it to become."""

    id: str
    type: str
    row: Row
    sequence: int | None
    warnings: tuple[Fault, ...]


class Receiver:
    """Makes submissions of one source's events. ``topics`` maps event types to topics, ``schemas`` topics to
    the names of their schemas; ``allowed`` are the types that may come."""

    def __init__(
        self, source: HttpSource, topics: Mapping[str, str], schemas: Mapping[str, str], catalog: Catalog
    ) -> None:
        self._source, self._topics = source, topics
        self._schemas: dict[str, Schema] = {topic: catalog.schema(name) for topic, name in schemas.items()}
        #: Topics whose records may be kept from the public, with a reason.
        self._kept_back = frozenset(
            topic for topic, schema in self._schemas.items() if can_be_kept_back([each.name for each in schema.fields])
        )
        self.uri = source_uri(source.name)

    def read(self, event: Incoming, allowed: frozenset[str]) -> Submission:
        """Raises ProblemError: 403 for another's source or a type that is not this key's, 422 for content."""
        attributes = event.attributes
        if attributes["source"] != self.uri:
            raise _forbidden("source", f"the key is for the source {self.uri}")
        type_ = attributes["type"]
        topic = self._topics.get(type_)
        if topic is None:
            raise invalid([fault(("type",), "no topic takes events of this type from departments")])
        if type_ not in allowed:
            raise _forbidden("type", "the key is not for events of this type")
        schema = self._schemas[topic]
        faults: list[Fault] = []
        natural_key = attributes.get("naturalkey") or attributes["id"]
        if len(natural_key) > MAX_NATURAL_KEY:
            where = "naturalkey" if attributes.get("naturalkey") else "id"
            faults.append(fault((where,), f"longer than {MAX_NATURAL_KEY} characters"))
        sequence = attributes.get("sequence")
        if sequence is not None and not _SEQUENCE.fullmatch(sequence):
            faults.append(fault(("sequence",), "is no version: a whole number from 1"))
        value = _typed(event.data, schema.fields)
        self._fill(value, natural_key, faults)
        warnings, unread = self._judge_codes(value, faults)
        faults += [_pointed(each) for each in schema.check(value)]
        if topic in self._kept_back and lacks_reason(value):
            faults.append(fault(("data", NONPUBLIC_REASON), f"{PROBLEM}；{remedy()}"))
        faults += _too_many(value)
        if faults:
            raise invalid(faults[:100])
        is_amendment = type_.endswith(".amended")
        row = Row(
            topic, natural_key, "" if is_amendment else type_,
            type_ if is_amendment else f"{type_.rpartition('.')[0]}.amended", value,
            Place(f"http {mask_personal(attributes['id'])}", None, 0), tuple(map(_problem, warnings)),
            unread_code=unread,
        )
        return Submission(attributes["id"], type_, row, int(sequence) if sequence else None, tuple(warnings))

    def _fill(self, value: dict[str, Any], natural_key: str, faults: list[Fault]) -> None:
        """What the key says of every event: whose it is. Said otherwise in the event is a fault."""
        source = self._source
        said = {
            _IDENTITY: _identity(natural_key), "department_code": source.department_code,
            "department_name": source.department_name, "region_code": source.region_code,
        }
        for name, content in said.items():
            given = value.get(name)
            # A department may answer for records of its districts: their region is its own to say.
            if name == "region_code" and isinstance(given, str) and given:
                continue
            if given not in (None, "", content):
                what = "the natural key (naturalkey, else id)" if name == _IDENTITY else "what the source has"
                faults.append(fault(("data", name), f"is not {what}; it may be left out"))
            value[name] = content

    def _judge_codes(self, value: dict[str, Any], faults: list[Fault]) -> tuple[list[Fault], str | None]:
        """Codes of the party in their canonical form; a wrong check digit is a warning or a fault. Beside the warnings
        what stood in the place of the enterprise's code and is none, where the register is asked."""
        warnings: list[Fault] = []
        unread: str | None = None
        for name, kinds in _CODES.items():
            raw = value.get(name)
            if not isinstance(raw, str) or len(raw) > 100:
                continue  # the schema's check says so
            found = judge(raw)
            if name == "party_uscc" and self._is_for_the_register(found):
                unread = raw
                del value[name]
                warnings.append(fault(("data", name), found.reason))
            else:
                self._judge(value, name, found, kinds, faults, warnings)
        raw, kind = value.get("party_certificate_number"), value.get("party_certificate_kind")
        if isinstance(raw, str) and len(raw) <= 64 and (kind == "01" or (kind is None and len(raw.strip()) == 18)):
            self._judge(value, "party_certificate_number", judge(raw), ("id-card",), faults, warnings)
        return warnings, unread

    def _judge(
        self, value: dict[str, Any], name: str, found: Judgement, kinds: Sequence[str], faults: list[Fault],
        warnings: list[Fault],
    ) -> None:
        at = ("data", name)
        # The reasons never hold a part of an ID card number.
        if found.kind not in kinds or not found.is_plausible:
            faults.append(fault(at, found.reason or f"is a code of another kind ({found.kind})"))
        elif found.problem in _FAILED_CHECK and self._source.check_digit == "refuse":
            faults.append(fault(at, found.reason))
        else:
            value[name] = found.normalised
            if found.problem:
                warnings.append(fault(at, found.reason))


    def _is_for_the_register(self, found: Judgement) -> bool:
        """Whether the register may know who is meant by what is no code; a number of a person or of another kind
        stays a fault."""
        if self._source.identity != "register" or found.kind == "id-card":
            return False
        if not found.is_plausible:
            return True
        return found.kind == "uscc" and found.problem in _FAILED_CHECK and self._source.check_digit == "refuse"


def _problem(warning: Fault) -> Problem:
    """The warning as rows have it."""
    return Problem("code", warning["pointer"], None, None, warning["detail"], "")


def _typed(value: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """JSON has neither dates nor amounts: their texts are read. What cannot be read stays, and is refused."""
    by_name = {field.name: field for field in fields}
    found: dict[str, Any] = {}
    for name, content in value.items():
        field = by_name.get(name)
        # An optional field that says nothing is the same as one that is not there: no version comes of it.
        if field is not None and field.is_nullable and (content is None or content == ""):
            continue
        found[name] = content if field is None else _one(content, field)
    return found


def _one(value: Any, field: Field) -> Any:
    if field.is_array:
        if not isinstance(value, list):
            return value
        if field.type == "record":
            return [_typed(item, field.items) if isinstance(item, dict) else item for item in value]
        return [_scalar(item, field) for item in value]
    return _scalar(value, field)


def _scalar(value: Any, field: Field) -> Any:
    if field.type == "decimal":
        return _amount(value)
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        if field.type == "date" and _DATE.fullmatch(value):
            return date.fromisoformat(value)
        if field.type == "timestamp" and _INSTANT.fullmatch(value):
            return whole_millis(datetime.fromisoformat(value.upper()).astimezone(UTC))
        if field.type == "string" and value and not value.strip():
            return ""
    return value


def _amount(value: Any) -> Any:
    """A number, or the text of one. 1.50 and 1.5 are one content, and so one text in every digest."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < 10**12:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -20:
            plain = format(value, "f")
            plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
            return Decimal("0" if plain in ("-0", "") else plain)
    return value


def _identity(natural_key: str) -> str:
    if len(natural_key) <= _IDENTITY_LENGTH:
        return natural_key
    digest = hashlib.blake2b(natural_key.encode(), digest_size=16).hexdigest()
    return f"{natural_key[: _IDENTITY_LENGTH - 33]}~{digest}"


_STEP = re.compile(r"[^.\[\]]+")
_INNER = re.compile(r"([a-z_]+)\[(\d+)\]\.(.+)", re.DOTALL)


def _pointed(found: FieldFault) -> Fault:
    """A fault of the schema's check with its pointer: ``inspectors[0].name`` is ``/data/inspectors/0/name``."""
    if found.code == "unknown":  # the last name is the caller's own and may hold anything
        inner = _INNER.fullmatch(found.field)
        steps = [each[:100] for each in (inner.groups() if inner else (found.field,))]
    else:
        steps = _STEP.findall(found.field)
    return fault(("data", *steps), f"{found.problem}；{found.remedy}")


def _too_many(value: Mapping[str, Any]) -> list[Fault]:
    return [
        fault(("data", name[:100]), f"has more than {_MOST_ELEMENTS} elements")
        for name, content in value.items() if isinstance(content, list) and len(content) > _MOST_ELEMENTS
    ]


def _forbidden(name: str, detail: str) -> ProblemError:
    return ProblemError(403, "forbidden", "无权提交此事件", detail, [fault((name,), detail)])
