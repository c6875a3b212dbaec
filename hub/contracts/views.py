"""Views: what may leave of a record, and the projection that makes it so.

A view can only take away or mask. What it does with a field follows from the field's privacy:

============  ========================  =====================  =====================
privacy       view ``public``           view ``partner``       view ``uplink``
============  ========================  =====================  =====================
public        kept                      kept                   kept
internal      dropped                   kept                   kept
personal      masked, else dropped      kept                   kept
sensitive     dropped                   masked, else dropped   dropped, but for one
============  ========================  =====================  =====================

``full`` is the schema itself. ``uplink`` is what is reported to the government's own systems: the national standard
requires the number of the party there (证件类型, 编码 of the 行政相对人): the unified social credit code or, where it
has none, the number of its certificate. That number (``PARTY_NUMBER``) alone is kept, where there is no code, and it
is taken out of every other text.

Where the party is a natural person, ``privacy_natural_person`` takes the
place of ``privacy``; such a field is part of the view all the same, so that what would be dropped is
null or hidden. A party of unknown kind counts as a natural person, and so does one that has a personal certificate
and no code of an enterprise, whatever it is said to be (``hub.domain.parties``); and, for the codes of an
enterprise, a code that turns out to be an identity number.

There is one mask a kind, the same in every view: two different masks of one value could be laid
over each other (个人信息保护法). Free text marked ``scrub`` loses what looks like an identity or mobile
number, and every value of the same record that the view masks or drops for being personal. And
whatever the schema says of a text, an identity number with its check character right is taken out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from hub.contracts.codec import Schema
from hub.contracts.fields import Field, Privacy, parse_fields
from hub.domain.parties import counts_as_person
from hub.domain.scrubbing import HIDDEN, LONG_NUMBER, is_identity_number, scrub, strip_identity
from hub.errors import ContractError

VIEWS = ("public", "partner", "uplink", "full")
DERIVED_VIEWS = ("public", "partner", "uplink")
UPLINK = "uplink"
#: The one sensitive field that the view ``uplink`` keeps, where the party has no code of its own.
PARTY_NUMBER = "party_certificate_number"
Action = Literal["keep", "mask", "drop"]

#: From this length on an identity number keeps its last four characters: fewer would give away most.
_SHOWS_TAIL_FROM = 9

Mask = Callable[[str], str]


def _mask_name(value: str) -> str:
    """扎西东智 -> 扎**: the first character; how many follow stays unknown."""
    return value[0] + "**" if len(value) > 1 else "**"


def _mask_number(value: str) -> str:
    return HIDDEN + value[-4:] if len(value) >= _SHOWS_TAIL_FROM else HIDDEN


_MASKS: dict[str, Mask] = {
    "name": _mask_name, "identity-number": _mask_number, "phone": _mask_number, "hide": lambda value: HIDDEN,
}


def mask(kind: str, value: str) -> str:
    """The value under the mask of that kind; never the value itself, except where it is empty."""
    if not value:
        return value
    masked = _MASKS[kind](value)
    return masked if masked != value else masked + "*"


def action_for(privacy: Privacy, has_mask: bool, view: str) -> Action:
    """What ``view`` does with a field; the table at the head of this module."""
    if view == "full" or privacy == "public":
        return "keep"
    if privacy == "internal":
        return "drop" if view == "public" else "keep"
    if privacy == "personal" and view != "public":
        return "keep"
    if privacy == "sensitive" and view != "partner":
        return "drop"
    return "mask" if has_mask else "drop"


def derive_definition(definition: Mapping[str, Any], label: str, view: str) -> dict[str, Any]:
    """The definition of a view: same names, fields that the view drops are gone."""
    validate_masks(parse_fields(definition, label), label)
    return {**_derive_record(definition, label, view), "view": view}


def _derive_record(definition: Mapping[str, Any], label: str, view: str, *, is_top: bool = True) -> dict[str, Any]:
    kept = []
    for raw, field in zip(definition["fields"], parse_fields(definition, label), strict=True):
        is_number = view == UPLINK and is_top and field.name == PARTY_NUMBER
        if not is_number and action_for(field.privacy, field.mask is not None, view) == "drop":
            continue
        if field.items:
            items = _derive_record(raw["type"]["items"], label, view, is_top=False)
            if not items["fields"]:
                continue
            raw = {**raw, "type": {**raw["type"], "items": items}}
        kept.append(raw)
    return {**definition, "fields": kept}


def validate_masks(fields: tuple[Field, ...], label: str, has_party: bool | None = None) -> None:
    """Raises ContractError for a mask that does not exist or cannot be applied."""
    has_party = any(field.name == "party_kind" for field in fields) if has_party is None else has_party
    for field in fields:
        where = f"{label}: field {field.name}"
        if field.mask is not None and (field.mask not in _MASKS or field.type != "string" or field.is_array):
            raise ContractError(f"{where}: mask is not one of {', '.join(_MASKS)} or not on a text")
        if field.privacy_natural_person is not None and (field.mask is None or not has_party):
            raise ContractError(f"{where}: privacy_natural_person needs a mask and a field party_kind")
        if field.is_scrubbed and (field.type != "string" or field.is_array):
            raise ContractError(f"{where}: only one text can be scrubbed")
        if field.type == "record" and not field.is_array:
            raise ContractError(f"{where}: records stand in arrays only")
        validate_masks(field.items, where, has_party)


#: What is to become of one field, for an organisation and for a natural person.
_Step = tuple[str, Field, Action, Action, "tuple[_Step, ...]"]


def _steps(fields: tuple[Field, ...], view: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    for field in fields:
        has_mask = field.mask is not None
        action = action_for(field.privacy, has_mask, view)
        person = action_for(field.privacy_natural_person or field.privacy, has_mask, view)
        steps.append((field.name, field, action, person, _steps(field.items, view)))
    return tuple(steps)


class Projection:
    """From a schema to one of its views. ``schema`` is the target. Safe to share between threads."""

    __slots__ = ("_keeps_number", "_kept", "_plain", "_steps", "_texts", "schema", "source")

    def __init__(self, source: Schema, target: Schema) -> None:
        self.source = source
        self.schema = target
        self._steps = _steps(source.fields, target.view)
        self._kept = {field.name for field in target.fields}
        self._keeps_number = target.view == UPLINK and PARTY_NUMBER in self._kept
        self._texts = tuple(
            text for text in _text_fields(target.fields) if not (self._keeps_number and text[0] == PARTY_NUMBER)
        )
        # What is kept for everyone needs no look at its content.
        self._plain = tuple(
            name
            for name, field, action, person, _ in self._steps
            if action == person == "keep" and not field.items and name in self._kept
        )
        plain = set(self._plain)
        self._steps = tuple(step for step in self._steps if step[0] not in plain)

    def apply(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """What the view lets through. ``value`` stays as it is. A key that is absent stays absent."""
        if self.schema is self.source:
            return dict(value)
        result = {name: value[name] for name in self._plain if name in value}
        secrets: list[tuple[str, str]] = []
        self._project(value, self._steps, counts_as_person(value), result, secrets)
        if self._keeps_number and PARTY_NUMBER in value:
            # What nobody can be told by else: a code that was given takes its place, unless it is hidden itself.
            result[PARTY_NUMBER] = value[PARTY_NUMBER] if not result.get("party_uscc") else None
        for name in [name for name in result if name not in self._kept]:
            del result[name]
        # The longest first, or a part of a name would be replaced within the name.
        secrets.sort(key=lambda secret: -len(secret[0]))
        _clean(result, self._texts, secrets)
        return result

    def clean(self, value: Mapping[str, Any], text: str) -> str:
        """``text``, which somebody wrote about the record, without what the view masks or takes away of it."""
        secrets: list[tuple[str, str]] = []
        self._project(value, self._steps, counts_as_person(value), {}, secrets)
        return scrub(text, sorted(secrets, key=lambda secret: -len(secret[0])))

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """``apply`` and then the wire format of the view's schema. Raises ContractError as encode does."""
        if self.schema is self.source:
            return self.schema.encode(value)
        return self.schema.encode(self.apply(value))

    def _project(
        self, value: Mapping[str, Any], steps: tuple[_Step, ...], is_person: bool,
        result: dict[str, Any], secrets: list[tuple[str, str]],
    ) -> None:
        for name, field, for_organisation, for_person, inner in steps:
            if name not in value:
                continue
            content = value[name]
            action = for_person if is_person else for_organisation
            if action == "keep" and field.mask == "identity-number" and content and is_identity_number(content):
                # An export that put a person's number into the column of the enterprise's code.
                action = for_person
            if field.items:
                rows = [dict[str, Any]() for _ in content]
                for row, element in zip(rows, content, strict=True):
                    self._project(element, inner, is_person, row, secrets)
                if action != "drop":
                    result[name] = rows
            elif action == "keep":
                result[name] = content
            elif action == "mask":
                masked = content if content is None else mask(field.mask or "hide", content)
                result[name] = masked
                secrets.extend(_secrets(field, content, masked))
            else:
                # Dropped for everyone: the target has no such field. Dropped for persons: it has.
                if for_organisation != "drop":
                    result[name] = None if field.is_nullable else mask("hide", content)
                secrets.extend(_secrets(field, content, HIDDEN))


#: Name, whether it is scrubbed, and for a list of records the same of their texts.
_Text = tuple[str, bool, "tuple[_Text, ...]"]


def _text_fields(fields: tuple[Field, ...]) -> tuple[_Text, ...]:
    """Where anything can have been written: texts without a code list, also those within lists."""
    return tuple(
        (field.name, field.is_scrubbed, _text_fields(field.items))
        for field in fields
        if field.items or (field.type == "string" and field.code_list is None)
    )


def _clean(value: dict[str, Any], texts: tuple[_Text, ...], secrets: list[tuple[str, str]]) -> None:
    for name, is_scrubbed, inner in texts:
        content = value.get(name)
        if not content:
            continue
        if isinstance(content, str):
            if is_scrubbed:
                value[name] = scrub(content, secrets)
            elif LONG_NUMBER.search(content):
                value[name] = strip_identity(content)
        elif inner:
            for row in content:
                _clean(row, inner, secrets)
        else:
            value[name] = [strip_identity(scrub(text, secrets) if is_scrubbed else text) for text in content]


def _secrets(field: Field, content: Any, replacement: str | None) -> Iterator[tuple[str, str]]:
    """Names and numbers that other texts of the record may repeat. One character could be any word."""
    is_personal = field.privacy in ("personal", "sensitive") or field.privacy_natural_person is not None
    is_identity = field.mask in ("name", "identity-number", "phone")
    if is_personal and is_identity and isinstance(content, str) and len(content) > 1 and replacement:
        yield content, replacement
