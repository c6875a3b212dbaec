"""A form of intake as a page shows it, and what a browser sent as what intake reads. No rule: each is the form's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hub.domain.problem import Fault, ProblemError, fault
from hub.intake.answers_kept import Asked, asked
from hub.intake.forms import Filled, Form, FormField
from hub.web.site.form import Form as Sent

#: Rows that a form shows at first, and at most: a record has some two or three inspectors.
ROWS, MOST_ROWS = 2, 20
#: Fields of a form with all its rows and ticked boxes; what intake may take of one is less.
MOST_FIELDS = 500
_MOST_TEXT = 20_000
_STEP = re.compile(r"(f(\.[a-z0-9_]{1,60}){1,3}|number)", re.ASCII)


class Cell(NamedTuple):
    """One field in its place. ``id`` is its name in the form, ``value`` what stands in it (a list for ``choices``),
    ``faults`` what is wrong with it; ``rows`` are those of a field that repeats."""

    field: FormField
    id: str
    value: Any
    faults: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()

    def marks(self, first: str | None) -> dict[str, str | None]:
        """Attributes of its element; ``first`` is the id of the field that gets the focus."""
        said = [f"{self.id}-hint"] * bool(self.field.help) + [f"{self.id}-fault"] * bool(self.faults)
        return {
            "id": self.id, "name": self.id, "aria-describedby": " ".join(said) or None,
            "aria-invalid": "true" if self.faults else None, "autofocus": "autofocus" if self.id == first else None,
        }


def read(form: Form, sent: Sent) -> Filled:
    """What was sent. Raises ProblemError 422 for a name that is none, or a text beyond all bounds."""
    fields: dict[str, Any] = {}
    for name in sent.names():
        if not _STEP.fullmatch(name) or name == "number":
            continue
        first, *rest = name.split(".")[1:]
        if not rest:
            kind = next((each.kind for each in form.fields if each.name == first), None)
            fields[first] = sent.many(name) if kind == "choices" else sent.secret(name, _MOST_TEXT)
        elif len(rest) == 2 and rest[0].isascii() and rest[0].isdecimal() and int(rest[0]) < MOST_ROWS:
            rows = fields.setdefault(first, [])
            if not isinstance(rows, list):
                raise ProblemError(422, "invalid", "内容未通过校验", "a field stands in two forms",
                                   [fault(("fields", first), "同一字段不能有两种填法")])
            while len(rows) <= int(rest[0]):
                rows.append({})
            rows[int(rest[0])][rest[1]] = sent.secret(name, _MOST_TEXT)
    return Filled(sent.text("number", 1000), fields)


def key_of(account: str, form: Form, filled: Filled, nonce: str) -> Asked:
    """By which two clicks are one: the page that was sent, and what stood in it when it was sent last. Sent again with
    other content it is another version, also where that is what it said before the last time."""
    content = json.dumps([form.type, filled.number, filled.fields], ensure_ascii=False, sort_keys=True, default=str)
    return asked(f"portal:{account}:{nonce[:100]}", content.encode("utf-8", "replace"), is_page=True)


def cells(form: Form, filled: Filled | None, faults: Iterable[Fault] = ()) -> list[Cell]:
    """The record's number, then the fields of the form with what stands in them."""
    told: dict[str, list[str]] = {}
    for each in faults:
        told.setdefault(each["pointer"], []).append(each["detail"])
    values = filled.fields if filled is not None else {}
    number = Cell(form.number, "number", filled.number if filled is not None else "", tuple(told.get("/number", ())))
    return [number, *(_cell(field, f"f.{field.name}", f"/fields/{field.name}", values, told, filled is None)
                      for field in form.fields)]


def known_pointers(found: Iterable[Cell]) -> set[str]:
    """Pointers of all places where a fault can be shown."""
    return {
        _pointer(cell.id) for each in found for cell in (each, *(inner for row in each.rows for inner in row))
    }


def _pointer(id_: str) -> str:
    return "/number" if id_ == "number" else "/fields/" + id_.removeprefix("f.").replace(".", "/")


def _cell(
    field: FormField, id_: str, pointer: str, values: Mapping[str, Any], told: Mapping[str, list[str]], is_fresh: bool
) -> Cell:
    value = values.get(field.name)
    if field.kind == "rows":
        given = value if isinstance(value, list) else []
        count = min(max(len(given), ROWS), MOST_ROWS)
        rows = tuple(
            tuple(
                _cell(inner, f"{id_}.{at}.{inner.name}", f"{pointer}/{at}/{inner.name}",
                      given[at] if at < len(given) else {}, told, is_fresh)
                for inner in field.fields
            )
            for at in range(count)
        )
        return Cell(field, id_, None, tuple(told.get(pointer, ())), rows)
    if value is None:
        value = [] if field.kind == "choices" else ""
        if is_fresh and field.default is not None:
            value = _default(field.default)
    if field.kind == "yes-no":
        value = {"是": "true", "否": "false"}.get(str(value).strip(), value)
    # A fault of one of several is shown at the field.
    faults = [text for at, texts in told.items() if at == pointer or at.startswith(f"{pointer}/") for text in texts]
    return Cell(field, id_, value, tuple(faults))


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
