"""``/desk/entry``: records that a clerk enters by hand, by the forms of intake; the way of ``POST /v1/events``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as LateError
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.problem import Fault, ProblemError
from hub.errors import InfrastructureError, UsageError
from hub.intake.answers_kept import Answer
from hub.intake.forms import Filled, Form, FormDesk
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form as Sent
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.portal.entry_form import MOST_FIELDS, MOST_ROWS, cells, key_of, known_pointers, read

PATH = "/desk/entry"
#: Below what proxies commonly allow a request.
WAIT_SECONDS = 25.0
_MOST_BYTES = 262_144

Enterer = Annotated[Caller, Depends(allowed("records.enter", most=_MOST_BYTES, fields=MOST_FIELDS))]
Posted = Annotated[Sent, Depends(posted)]
#: Forms of one source: the id of its department and its desk, by the name of the source.
FormDesks = Mapping[str, tuple[str, FormDesk]]


def entry_pages(desks: FormDesks) -> PageSet:
    """The routes of this module."""
    pages = EntryPages(desks)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(f"{PATH}/{{source}}/{{type_}}", pages.form, methods=["GET"])
    router.add_api_route(f"{PATH}/{{source}}/{{type_}}", pages.enter, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.entry", "records.enter", 31),))


class EntryPages:
    def __init__(self, desks: FormDesks) -> None:
        self._desks = desks

    def show(self, request: Request, caller: Enterer) -> Response:
        found = [
            {"source": name, "groups": _grouped([desk.form(each) for each in desk.types])}
            for name, (department, desk) in self._desks.items() if caller.sees(department)
        ]
        return site_of(request).renderer.page(request, "desk-entry.html", caller, sources=found)

    def form(self, request: Request, caller: Enterer, source: str, type_: str, number: str = "") -> Response:
        form = self._form(caller, source, type_)[1]
        given = Filled(number[:200], {}) if number else None
        return form_page(request, caller, source, form, given, is_fresh=True)

    def enter(self, request: Request, caller: Enterer, source: str, type_: str, sent: Posted) -> Response:
        desk, form = self._form(caller, source, type_)
        filled = read(form, sent)
        if more := sent.text("_more", 60):
            return form_page(request, caller, source, form, _with_row(filled, more), nonce=sent.text("_nonce", 100))
        nonce = sent.text("_nonce", 100)
        try:
            desk.check(type_, filled)
            answer = hand_in(request, caller, source, desk, form, filled, nonce)
        except ProblemError as problem:
            if problem.status >= 500:
                raise
            return form_page(
                request, caller, source, form, filled, problem.errors, nonce=nonce, problem=problem,
                status=problem.status,
            )
        said = json.loads(answer.body)
        if answer.status >= 400:
            refused = ProblemError(answer.status, said["type"].rpartition("/")[2], said["title"], said["detail"])
            errors = [_in_form(each) for each in said.get("errors", ())]
            return form_page(
                request, caller, source, form, filled, errors, nonce=nonce, problem=refused, status=answer.status
            )
        return site_of(request).renderer.page(
            request, "desk-entered.html", caller, form=form, source=source, said=said, number=filled.number,
            word=_word(form), back=_back(desk, form),
        )

    def _form(self, caller: Caller, source: str, type_: str) -> tuple[FormDesk, Form]:
        department, desk = self._desks.get(source, (None, None))
        caller.must_see(department)
        if desk is None:
            raise not_here()
        try:
            return desk, desk.form(type_)
        except UsageError:
            raise not_here() from None


def hand_in(
    request: Request, caller: Caller, source: str, desk: FormDesk, form: Form, filled: Filled, nonce: str
) -> Answer:
    """Hands a form in, on record with who it is before that. Raises ProblemError for its faults, InfrastructureError
    where it is not known to be safe: then sending it again is right."""
    with site_of(request).acts.acting(
        "records.enter", caller.actor, source, f"{form.title} {filled.number}", details=[("type", form.type)]
    ) as outcome:
        future = desk.submit(form.type, filled, key_of(caller.account.name, form, filled, nonce))
        try:
            answer = future.result(WAIT_SECONDS)
        except LateError:
            future.cancel()
            raise InfrastructureError("Kafka or Redis does not answer in time.") from None
        said = json.loads(answer.body)
        outcome.append(" ".join(str(said.get(name, "")) for name in ("status", "event_id")).strip())
    return answer


def form_page(
    request: Request, caller: Caller, source: str, form: Form, filled: Filled | None, errors: Sequence[Fault] = (), *,
    nonce: str = "", problem: ProblemError | None = None, status: int = 200, is_fresh: bool = False,
) -> Response:
    """The form with what stands in it; ``errors`` beside their fields, those that belong to none at its head."""
    shown = cells(form, None if is_fresh else filled, errors)
    if is_fresh and filled is not None:
        shown[0] = shown[0]._replace(value=filled.number)
    known = known_pointers(shown)
    places = tuple(known)
    loose = [
        each for each in errors
        if each["pointer"] not in known and not any(each["pointer"].startswith(f"{place}/") for place in places)
    ]
    faulty = [cell for each in shown for cell in (each, *(inner for row in each.rows for inner in row)) if cell.faults]
    return site_of(request).renderer.page(
        request, "desk-entry-form.html", caller, status=status, form=form, source=source, cells=shown, loose=loose,
        faulty=faulty, first=faulty[0].id if faulty else None, problem=problem, word=_word(form),
        nonce=nonce or uuid.uuid4().hex, most_rows=MOST_ROWS,
    )


def _word(form: Form) -> str:
    return form.type.rpartition(".")[2]


def _back(desk: FormDesk, form: Form) -> str | None:
    """The event type by which a record of this form is taken back, if there is one."""
    stem = form.type.rpartition(".")[0]
    return next((each for each in (f"{stem}.withdrawn", f"{stem}.removed") if each in desk.types
                 and each != form.type), None)


def _grouped(forms: Sequence[Form]) -> list[tuple[str, list[tuple[Form, str]]]]:
    """Forms by what they are about. An amendment is the same form with the same number."""
    groups: dict[str, list[tuple[Form, str]]] = {}
    for form in forms:
        if _word(form) != "amended":
            groups.setdefault(form.title, []).append((form, _word(form)))
    return list(groups.items())


def _with_row(filled: Filled, name: str) -> Filled:
    """One row more of that field."""
    rows = filled.fields.get(name)
    if not isinstance(rows, list):
        return filled
    return filled._replace(fields={**filled.fields, name: [*rows, {}]})


def _in_form(each: Mapping[str, Any]) -> Fault:
    pointer = str(each["pointer"])
    if pointer.startswith("/data/"):
        pointer = f"/fields/{pointer.removeprefix('/data/')}"
    return {"pointer": pointer, "detail": str(each["detail"])}
